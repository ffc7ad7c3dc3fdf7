import type { TrainConfig } from '../config/train-config.ts';

/**
 * The name of a run that was given none: data set, model, time to the second, and `suffix`, which
 * tells runs of one second apart.
 */
export function defaultRunName(config: TrainConfig, suffix: string): string {
  const stamp = new Date().toISOString().replaceAll(/[-:]/g, '').replace('T', '-').slice(0, 15);
  const [dataset, model] = [config.dataset, config.model].map(nameInFolder);
  return `${dataset}-${model}-${stamp}-${suffix}`;
}

/** A name or a path as part of a folder's name: the last part without its ending. */
function nameInFolder(word: string): string {
  const [last = ''] = word.split(/[\\/]/).filter(Boolean).slice(-1);
  return (
    last
      .replace(/\.[^.]*$/, '')
      .replaceAll(/[^A-Za-z0-9_-]+/g, '-')
      .replace(/^-+/, '')
      .slice(0, 30) || 'own'
  );
}
