import { describe } from 'node:test';
import { testDiagnosis } from '../validate/diagnosis.contract.ts';

describe('the diagnosis of a failed validation, with another seed', () => testDiagnosis(7));
