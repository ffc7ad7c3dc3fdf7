import { normalisationOfBytes } from '../dataset.ts';
import type { IdxDataset } from './idx-dataset.ts';

/**
 * Fashion-MNIST: 60,000 training and 10,000 test images of clothes, 28 x 28 bytes, 0 = background;
 * 7,000 per class.
 *
 * Normalisation: mean 0.2860 and standard deviation 0.3530 of the training pixels / 255.
 * Source: Xiao, Rasul and Vollgraf 2017; MIT licence. Debian packs it anew.
 */
export const FASHION_MNIST: IdxDataset = {
  name: 'fashion_mnist',
  classes: 10,
  classNames: [
    'T-shirt/top',
    'Trouser',
    'Pullover',
    'Dress',
    'Coat',
    'Sandal',
    'Shirt',
    'Sneaker',
    'Bag',
    'Ankle boot',
  ],
  normalisation: normalisationOfBytes(0.286, 0.353),
  innerFolders: ['FashionMNIST/raw', 'fashion-mnist'],
  system: {
    folder: '/usr/share/datasets/fashion-mnist',
    install: 'sudo apt-get install dataset-fashion-mnist',
  },
  mirrors: ['http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/'],
  files: {
    trainImages: {
      fileName: 'train-images-idx3-ubyte',
      shape: [60_000, 28, 28],
      sha256: 'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888',
      gzipBytes: 26_421_880,
      gzipSha256: '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84',
    },
    trainLabels: {
      fileName: 'train-labels-idx1-ubyte',
      shape: [60_000],
      sha256: 'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9',
      gzipBytes: 29_515,
      gzipSha256: 'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845',
    },
    testImages: {
      fileName: 't10k-images-idx3-ubyte',
      shape: [10_000, 28, 28],
      sha256: '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
      gzipBytes: 4_422_102,
      gzipSha256: '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073',
    },
    testLabels: {
      fileName: 't10k-labels-idx1-ubyte',
      shape: [10_000],
      sha256: '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
      gzipBytes: 5_148,
      gzipSha256: '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5',
    },
  },
};
