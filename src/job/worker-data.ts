/**
 * The data of a job as a worker finds them: on its own machine by their name, among those that came
 * for an earlier run, or else from its coordinator.
 */
import { ConfigError, DataError, messageOf } from '../base/errors.ts';
import type { DataPlaces, Dataset } from '../data/dataset.ts';
import { KeptSplits } from '../data/parcels/kept-splits.ts';
import { type DataOffer, parseOffer, type SplitOffer } from '../data/parcels/offer.ts';
import { PartialSplit } from '../data/parcels/partial-split.ts';
import type { AskForPiece } from '../data/parcels/piece.ts';
import type { ReceivedData } from '../protocol/messages.ts';
import type { DataSupply } from '../runtime/engine.ts';
import { type DatasetSpec, loadJobData, type RunData } from './data-source.ts';

const INSTEAD = "; the coordinator's are taken";

/** What a worker needs of the data of a run. */
export type JobData = Pick<RunData, 'train' | 'evaluate' | 'digest'>;

/** The data that a job asks for. */
export interface WantedData {
  readonly spec: DatasetSpec;
  readonly digest: string;
  /** The coordinator's; undefined when it gives none. */
  readonly supply: DataSupply | undefined;
}

/** Data that are here, or on their way. */
export interface FoundData {
  readonly data: JobData;
  /**
   * Present when they come from the coordinator: nothing is to be computed from them before. Throws
   * DataError when they are not those that it has promised; PeerLostError when it is lost before
   * they are here.
   */
  readonly coming?: Promise<CameData>;
}

/** How data came from the coordinator. */
export interface CameData {
  readonly received: ReceivedData;
  /** Settles when they are written to the cache folder, or cannot be, which is logged. */
  readonly isKept: Promise<void>;
}

/** Where a worker looks, and who is told. */
export interface WorkerDataOptions {
  readonly places: DataPlaces;
  readonly log: (line: string) => void;
  /** In place of the machine's own data, and of all others. */
  readonly load?: (spec: DatasetSpec, places: DataPlaces) => Promise<RunData>;
}

/** The data of one worker process: what it has found, or begun to get, survives a reconnection. */
export class WorkerData {
  readonly #options: WorkerDataOptions;
  readonly #kept: KeptSplits;
  #found: { readonly key: string; readonly data: JobData } | undefined;
  /** By digest, what came from coordinators of which the whole is not here yet. */
  readonly #partial = new Map<string, PartialSplit>();

  constructor(options: WorkerDataOptions) {
    this.#options = options;
    this.#kept = new KeptSplits(options.places.cacheDir);
  }

  /**
   * Finds the data of a job, or begins to get them.
   *
   * Throws: DataError or ConfigError when they are not here and the coordinator gives none;
   *         ShortageError when there is no memory for them.
   */
  async find(wanted: WantedData): Promise<FoundData> {
    const key = JSON.stringify([wanted.spec, wanted.digest]);
    if (this.#found?.key === key) return { data: this.#found.data };
    const { data, coming } = await this.#search(wanted);
    const areHere = (): void => void (this.#found = { key, data });
    if (coming === undefined) areHere();
    // Whoever waits for them hears of a failure.
    else coming.then(areHere, () => {});
    return { data, ...(coming && { coming }) };
  }

  async #search({ spec, digest, supply }: WantedData): Promise<FoundData> {
    const { places, load } = this.#options;
    if (load !== undefined) return { data: await load(spec, places) };
    if (supply === undefined) return { data: await loadJobData(spec, places) };
    const own = await this.#ownData(spec, digest);
    if (own !== undefined) return { data: own };
    return this.#receive(parseOffer(supply.offer, digest), spec.name, supply);
  }

  /** This machine's own, if they are those of the job. */
  async #ownData(spec: DatasetSpec, digest: string): Promise<JobData | undefined> {
    const { places, log } = this.#options;
    try {
      const data = await loadJobData(spec, places, { isOffline: true });
      if (data.digest === digest) return data;
      log(`the data ${spec.name} of this machine are not those of the run${INSTEAD}`);
    } catch (error) {
      if (!(error instanceof DataError || error instanceof ConfigError)) throw error;
      if (error.context['isMissing'] !== true) log(`${error.message}${INSTEAD}`);
    }
    return undefined;
  }

  async #receive(offer: DataOffer, name: string, supply: DataSupply): Promise<FoundData> {
    const digests = [offer.train.digest, offer.evaluate.digest];
    for (const other of this.#partial.keys())
      if (!digests.includes(other)) this.#partial.delete(other);
    const train = await this.#split(offer.train, name);
    const evaluate = await this.#split(offer.evaluate, name);
    const [first, second] = [train, evaluate].map((one) =>
      one instanceof PartialSplit ? one.split : one,
    ) as [Dataset, Dataset];
    const data = { train: first, evaluate: second, digest: `${first.digest}:${second.digest}` };
    const missing = [train, evaluate].filter((one) => one instanceof PartialSplit);
    return missing.length === 0 ? { data } : { data, coming: this.#come(missing, name, supply) };
  }

  async #split(offer: SplitOffer, name: string): Promise<Dataset | PartialSplit> {
    const kept = await this.#kept.find(offer, name);
    if (kept !== undefined) return kept;
    const partial = this.#partial.get(offer.digest) ?? new PartialSplit(offer, name);
    this.#partial.set(offer.digest, partial);
    return partial;
  }

  async #come(
    missing: readonly PartialSplit[],
    name: string,
    supply: DataSupply,
  ): Promise<CameData> {
    const way = new Way(supply);
    for (const partial of missing) await way.take(partial);
    this.#partial.clear();
    const received = way.summary();
    const { bytes, wireBytes, receiveMs } = received;
    this.#options.log(
      `got the data ${name} from the coordinator: ${bytes} bytes, ${wireBytes} on the way, in ` +
        `${(receiveMs / 1000).toFixed(1)} s`,
    );
    return { received, isKept: this.#keep(missing.map(({ split }) => split)) };
  }

  async #keep(splits: readonly Dataset[]): Promise<void> {
    try {
      for (const split of splits) await this.#kept.keep(split);
    } catch (error) {
      this.#options.log(
        `the data are not kept for another run, in ${this.#kept.folder}: ${messageOf(error)}`,
      );
    }
  }
}

/** The way to one coordinator, and what came on it. */
class Way {
  readonly #ask: AskForPiece;
  readonly #startedMs = performance.now();
  #bytes = 0;
  #wireBytes = 0;

  constructor(supply: DataSupply) {
    this.#ask = async (request) =>
      new Promise((resolve, reject) => supply.ask(request, resolve, reject));
  }

  async take(partial: PartialSplit): Promise<void> {
    await partial.receive(this.#ask);
    this.#bytes += partial.byteLength;
    this.#wireBytes += partial.wireBytes;
  }

  /** What came, from the making of this on. */
  summary(): ReceivedData {
    const receiveMs = performance.now() - this.#startedMs;
    return { bytes: this.#bytes, wireBytes: this.#wireBytes, receiveMs };
  }
}
