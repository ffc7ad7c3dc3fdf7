/** Every command of the pages that are not read first, as it is printed. */
import { blocksOf, FIRST_PAGES, USER_PAGES } from '../pages.ts';
import { testPages } from './page-commands.ts';

testPages(
  USER_PAGES.filter(
    (page) =>
      !FIRST_PAGES.includes(page) && blocksOf(page).some(({ language }) => language === 'sh'),
  ),
);
