/** Every command of the pages for users, as it is printed; those of the validation suite apart. */
import { blocksOf, USER_PAGES, VALIDATION_PAGES } from '../pages.ts';
import { testPages } from './page-commands.ts';

testPages(
  USER_PAGES.filter(
    (page) =>
      !VALIDATION_PAGES.includes(page) && blocksOf(page).some(({ language }) => language === 'sh'),
  ),
);
