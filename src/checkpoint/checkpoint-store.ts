/**
 * Where checkpoints lie: the few things that a file system does for them. Injected, like the clock;
 * every path is below the folder of the store and has `/` between its parts.
 */

/** SHA-256, hex, of files and of what they hold together. */
export interface FileHashes {
  /** Of each file, in their order. */
  readonly files: readonly string[];
  /**
   * Of the tensors of the first file, and of those of all files one after the other: the digests of
   * a state whose parts they are. Empty where a file is no safetensors.
   */
  readonly weightsDigest: string;
  readonly stateDigest: string;
}

/** A file that is being written. */
export interface NewFile {
  /** Writes what follows; gives how many of the bytes it took, which may be fewer. */
  write(parts: readonly Uint8Array[]): Promise<number>;
  /** Has all that was written survive a power cut. Once it has failed, the file is void. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** A folder for checkpoints. What it does rejects with what the file system says. */
export interface CheckpointStore {
  /** Names in a folder; none where there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
  /** Makes a folder, and the store itself if need be. */
  makeFolder(folder: string): Promise<void>;
  /** Makes a file that is not there yet. */
  create(path: string): Promise<NewFile>;
  /** Has what was made, renamed or removed in a folder survive a power cut. */
  sync(folder: string): Promise<void>;
  /** Takes the place of a file of that name; of folders there must be none. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, or a folder with its files; nothing happens where there is none. */
  remove(path: string): Promise<void>;
  read(path: string): Promise<Uint8Array>;
  /** Reads files once more, from where they are now. */
  hash(paths: readonly string[]): Promise<FileHashes>;
  /** Bytes that there is room for; undefined where nobody knows. */
  freeBytes(): number | undefined;
}
