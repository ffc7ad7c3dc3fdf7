/** One thing that was checked: to a CI system a test case of JUnit, or an annotation of GitHub. */
export interface Check {
  readonly name: string;
  readonly passed: boolean;
  /**
   * What was found, for people: of a failed check what is wrong and where, maybe in several lines.
   */
  readonly message: string;
  /** How long it took, where that was measured. */
  readonly seconds?: number;
}
