/** Every command of the pages on validation, as it is printed. */
import { VALIDATION_PAGES } from '../pages.ts';
import { testPages } from './page-commands.ts';

testPages(VALIDATION_PAGES);
