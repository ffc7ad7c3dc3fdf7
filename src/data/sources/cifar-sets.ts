import { normalisationOfBytes } from '../dataset.ts';
import type { Normalisation } from '../dataset.ts';

/** A data set in the binary CIFAR layout. */
export interface CifarSet {
  readonly name: string;
  /** Folder inside the archive. */
  readonly folder: string;
  readonly archive: {
    readonly fileName: string;
    readonly addresses: readonly string[];
    readonly bytes: number;
    readonly sha256: string;
  };
  readonly classes: number;
  /** Bytes before the pixels of a record; the last of them is the label. */
  readonly labelBytes: number;
  readonly trainFiles: readonly string[];
  readonly testFile: string;
  /** One class name per line. */
  readonly classNamesFile: string;
  /** Files of the archive that are not read. */
  readonly otherFiles: readonly string[];
  readonly normalisation: Normalisation;
}

/**
 * CIFAR-10: 50,000 training and 10,000 test images, 3 x 32 x 32 bytes, of ten classes.
 *
 * Normalisation: mean and standard deviation of the training pixels / 255, by channel.
 * Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
 */
export const CIFAR10: CifarSet = {
  name: 'cifar10',
  folder: 'cifar-10-batches-bin',
  archive: {
    fileName: 'cifar-10-binary.tar.gz',
    addresses: ['https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz'],
    bytes: 170_052_171,
    sha256: 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
  },
  classes: 10,
  labelBytes: 1,
  trainFiles: [1, 2, 3, 4, 5].map((part) => `data_batch_${part}.bin`),
  testFile: 'test_batch.bin',
  classNamesFile: 'batches.meta.txt',
  otherFiles: ['readme.html'],
  normalisation: normalisationOfBytes([0.4914, 0.4822, 0.4465], [0.247, 0.2435, 0.2616]),
};

/**
 * CIFAR-100: as CIFAR-10, with 100 classes; the 20 coarse labels of its records are passed over.
 */
export const CIFAR100: CifarSet = {
  name: 'cifar100',
  folder: 'cifar-100-binary',
  archive: {
    fileName: 'cifar-100-binary.tar.gz',
    addresses: ['https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz'],
    bytes: 168_513_733,
    sha256: '58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec',
  },
  classes: 100,
  labelBytes: 2,
  trainFiles: ['train.bin'],
  testFile: 'test.bin',
  classNamesFile: 'fine_label_names.txt',
  otherFiles: ['coarse_label_names.txt'],
  normalisation: normalisationOfBytes([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
};
