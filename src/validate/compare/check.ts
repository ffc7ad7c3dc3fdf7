/**
 * One thing that was checked, as a CI system shows it: a test case of JUnit, an annotation of
 * GitHub.
 */
export interface Check {
  readonly name: string;
  readonly passed: boolean;
  /**
   * What was found, for people; of a failed check it says what is wrong and where. May have several
   * lines.
   */
  readonly message: string;
  /** How long it took, where that was measured. */
  readonly seconds?: number;
}
