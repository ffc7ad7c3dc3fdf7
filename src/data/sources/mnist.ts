import { join } from 'node:path';
import { normalisationOfBytes } from '../dataset.ts';
import type { IdxDataset } from './idx-dataset.ts';
import { VENDORED } from './vendored.ts';

/**
 * MNIST: 60,000 + 10,000 images of handwritten digits, 28 x 28 bytes, 0 = background.
 *
 * Normalisation: mean 0.1307 and standard deviation 0.3081 of the training pixels / 255.
 * Source: LeCun, Cortes, Burges; hashes of the files every public copy agrees on.
 */
export const MNIST: IdxDataset = {
  name: 'mnist',
  classes: 10,
  normalisation: normalisationOfBytes(0.1307, 0.3081),
  innerFolders: ['MNIST/raw'], // Where torchvision, and with it SmolCluster, keeps it.
  carried: join(VENDORED, 'mnist'),
  mirrors: [
    'https://ossci-datasets.s3.amazonaws.com/mnist/',
    'https://storage.googleapis.com/cvdf-datasets/mnist/',
  ],
  digests: {
    train: '28838e06eee98c0e1438fc5f5d4ceb9fd372835bab4d6166dbc584b3e3f12408',
    test: 'fafb9eae4274c42c01ca6e92d9c68696cdefda8ec88a9324e1a364345f402ff3',
  },
  files: {
    trainImages: {
      fileName: 'train-images-idx3-ubyte',
      shape: [60_000, 28, 28],
      sha256: 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
      gzipBytes: 9_912_422,
      gzipSha256: '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
      runsSha256: 'f8fea071adaaec7b867aac37a0aab616fdbd17ff70e8e6de3b900a344fc98aad',
    },
    trainLabels: {
      fileName: 'train-labels-idx1-ubyte',
      shape: [60_000],
      sha256: '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
      gzipBytes: 28_881,
      gzipSha256: '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
      runsSha256: '5c20a9a6fcac7ba45183efc2e5b84926771b1da77f7c9ca6d734e2024c46b868',
    },
    testImages: {
      fileName: 't10k-images-idx3-ubyte',
      shape: [10_000, 28, 28],
      sha256: '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
      gzipBytes: 1_648_877,
      gzipSha256: '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
      runsSha256: '6db4c35bc972b8f7e4e9705c599deb17645b5bd036a1610e0100b5162d999055',
    },
    testLabels: {
      fileName: 't10k-labels-idx1-ubyte',
      shape: [10_000],
      sha256: 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
      gzipBytes: 4_542,
      gzipSha256: 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
      runsSha256: '978c82a4630a41b7d93007047e2f3fb6fc4bbb99195df0dab5ef6e371300b226',
    },
  },
};
