/** Every command of the pages that are read first, as it is printed. */
import { FIRST_PAGES } from '../pages.ts';
import { testPages } from './page-commands.ts';

testPages(FIRST_PAGES);
