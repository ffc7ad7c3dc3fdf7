/** Every command of the other pages, as it is printed. */
import { blocksOf, FIRST_PAGES, USER_PAGES, VALIDATION_PAGES } from '../pages.ts';
import { testPages } from './page-commands.ts';

const ELSEWHERE = [...FIRST_PAGES, ...VALIDATION_PAGES];

testPages(
  USER_PAGES.filter(
    (page) => !ELSEWHERE.includes(page) && blocksOf(page).some(({ language }) => language === 'sh'),
  ),
);
