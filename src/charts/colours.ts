/**
 * Colours of pages as custom properties of CSS. Those of series and cells are told apart also by
 * people who see no red or no green.
 */

/** On a light ground. */
export const LIGHT_COLOURS: string = `
  --ground: #f6f7f9; --panel: #ffffff; --ink: #18202b; --faint: #5a6675; --line: #dde2e8; \
--grid: #e9edf1;
  --good: #0b6b3a; --good-ground: #dff5e8; --warn: #7a4d00; --warn-ground: #fdf0d0; \
--bad: #a31526; --bad-ground: #fde4e6;
  --c0: #2563c9; --c1: #d9730d; --c2: #178a5b; --c3: #9a3fb5; --c4: #c93a5b; --c5: #14849a; \
--c6: #8a6d00; --c7: #6b7280;
  --heat-low: #eef4fd; --heat-high: #1c4f9c;`;
/** On a dark ground. */
export const DARK_COLOURS: string = `
  --ground: #12161c; --panel: #1b212a; --ink: #e8ecf1; --faint: #9aa6b5; --line: #313a46; \
--grid: #28303b;
  --good: #7fdca8; --good-ground: #143726; --warn: #f3c969; --warn-ground: #3b2d0b; \
--bad: #ff9aa5; --bad-ground: #4a1a20;
  --c0: #74a7ff; --c1: #f5a25a; --c2: #56c796; --c3: #cf8ae4; --c4: #f2859f; --c5: #57c3d6; \
--c6: #d8b94a; --c7: #a4adba;
  --heat-low: #20293a; --heat-high: #8ab8ff;`;
