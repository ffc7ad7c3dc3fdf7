import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { PowerMeter } from './power-meter.ts';
import { estimateSource, nvmlSource, parseNvmlLine, raplSource } from './power-sources.ts';

const POWERCAP = 'class/powercap';

/** A tree as Linux has under /sys. */
class SystemTree {
  readonly folder: string;

  constructor(t: TestContext) {
    this.folder = mkdtempSync(join(tmpdir(), 'lockstep-sys-'));
    t.after(() => rmSync(this.folder, { recursive: true }));
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true });
    writeFileSync(join(this.folder, path), `${text}\n`);
  }

  zone(name: string, kind: string, microjoules: number): void {
    this.write(`${POWERCAP}/${name}/name`, kind);
    this.write(`${POWERCAP}/${name}/energy_uj`, String(microjoules));
    this.write(`${POWERCAP}/${name}/max_energy_range_uj`, '10000000');
  }
}

function at(ms: number): { ms: number; wallMs: number } {
  return { ms, wallMs: ms };
}

describe('raplSource', () => {
  test('is not there without counters', (t) => {
    assert.equal(raplSource(new SystemTree(t).folder), undefined);
  });

  test('adds the packages, and nothing that is part of them or counts them again', (t) => {
    const tree = new SystemTree(t);
    tree.zone('intel-rapl:0', 'package-0', 1_000_000);
    tree.zone('intel-rapl:1', 'package-1', 2_000_000);
    tree.zone('intel-rapl:0:0', 'core', 500);
    tree.zone('intel-rapl:2', 'psys', 500);
    const meter = new PowerMeter(raplSource(tree.folder)!);
    meter.sample(at(0), 0);
    tree.zone('intel-rapl:0', 'package-0', 4_000_000);
    tree.zone('intel-rapl:1', 'package-1', 3_000_000);
    tree.zone('intel-rapl:0:0', 'core', 9_000_000);
    tree.zone('intel-rapl:2', 'psys', 9_000_000);
    meter.sample(at(2000), 10);

    const profile = meter.profile()!;
    assert.deepEqual([profile.reader, profile.joules, profile.meanWatts], ['rapl', 4, 2]);
    assert.deepEqual([profile.isEstimate, profile.meanCelsius], [false, null]);
  });

  test('goes on when a counter starts again at 0', (t) => {
    const tree = new SystemTree(t);
    tree.zone('intel-rapl:0', 'package-0', 9_000_000);
    const meter = new PowerMeter(raplSource(tree.folder)!);
    meter.sample(at(0), 0);
    tree.zone('intel-rapl:0', 'package-0', 1_000_000);
    meter.sample(at(1000), 10);

    assert.equal(meter.profile()?.joules, 2);
  });

  test('has the temperature of the package where there is one', (t) => {
    const tree = new SystemTree(t);
    tree.zone('intel-rapl:0', 'package-0', 0);
    tree.write('class/thermal/thermal_zone0/type', 'acpitz');
    tree.write('class/thermal/thermal_zone0/temp', '20000');
    tree.write('class/thermal/thermal_zone1/type', 'x86_pkg_temp');
    tree.write('class/thermal/thermal_zone1/temp', '51500');

    assert.equal(raplSource(tree.folder)?.read(0)?.celsius, 51.5);
  });

  test('counts no temperature from before the run in its mean', (t) => {
    const tree = new SystemTree(t);
    tree.zone('intel-rapl:0', 'package-0', 0);
    tree.write('class/thermal/thermal_zone0/type', 'x86_pkg_temp');
    tree.write('class/thermal/thermal_zone0/temp', '30000');
    const meter = new PowerMeter(raplSource(tree.folder)!);
    meter.sample(at(0), 0);
    tree.write('class/thermal/thermal_zone0/temp', '60000');
    for (const ms of [1000, 2000]) meter.sample(at(ms), ms / 100);

    assert.equal(meter.profile()?.meanCelsius, 60);
  });

  test('measures nothing from a counter that holds no number', (t) => {
    const tree = new SystemTree(t);
    tree.write(`${POWERCAP}/intel-rapl:0/name`, 'package-0');
    tree.write(`${POWERCAP}/intel-rapl:0/energy_uj`, 'no data');
    tree.write(`${POWERCAP}/intel-rapl:0/max_energy_range_uj`, '100');

    assert.equal(raplSource(tree.folder), undefined);
  });
});

describe('nvmlSource', () => {
  test('reads lines of nvidia-smi, and ends it', async (t) => {
    const program = join(new SystemTree(t).folder, 'nvidia-smi');
    writeFileSync(program, '#!/bin/sh\necho "70.50, 33"\nexec sleep 60\n');
    chmodSync(program, 0o755);
    const source = nvmlSource(program);
    t.after(() => source.close());

    let read = source.read(0);
    for (let tries = 0; read === undefined && tries < 500; tries++) {
      await new Promise((later) => setTimeout(later, 10));
      read = source.read(0);
    }
    assert.deepEqual(read, { joules: 0, celsius: 33 });
    assert.deepEqual(source.read(2000), { joules: 141, celsius: 33 });
  });

  test('measures nothing where there is no such program', async () => {
    const source = nvmlSource('/no/such/nvidia-smi');
    await new Promise((later) => setTimeout(later, 50));

    assert.equal(source.read(0), undefined);
    source.close();
  });
});

describe('parseNvmlLine', () => {
  test('gives watts and degrees, and nothing where the GPU does not say', () => {
    assert.deepEqual(parseNvmlLine('71.52, 34'), { watts: 71.52, celsius: 34 });
    assert.deepEqual(parseNvmlLine('71.52, [N/A]'), { watts: 71.52, celsius: null });
    assert.equal(parseNvmlLine('[N/A], 34'), undefined);
    assert.equal(parseNvmlLine(''), undefined);
  });
});

describe('estimateSource', () => {
  test("follows the original's formula with the measured load, and says that it is an estimate", () => {
    // Idle for a second, then half of the cores busy for one.
    const loads = [
      { busyMs: 0, allMs: 0 },
      { busyMs: 0, allMs: 4000 },
      { busyMs: 2000, allMs: 8000 },
    ];
    const source = estimateSource(120, () => loads.shift()!);
    const meter = new PowerMeter(source);
    for (const ms of [0, 1000, 2000]) meter.sample(at(ms), ms / 100);

    const profile = meter.profile()!;
    assert.deepEqual(
      profile.readings.map(({ watts, celsius }) => [watts, celsius]),
      [
        [20, 35],
        [70, 57.5],
      ],
    );
    assert.deepEqual([profile.joules, profile.meanWatts, profile.isEstimate], [90, 45, true]);
    assert.match(profile.source, /estimated from --tdp-watts 120 .* not measured/);
  });

  test('moves with the load of this machine', () => {
    const source = estimateSource(100);
    source.read(0);
    const busyUntil = performance.now() + 150;
    while (performance.now() < busyUntil);

    assert.ok((source.read(1000)?.joules ?? 0) > 20);
  });
});

describe('PowerMeter', () => {
  test('has no profile of fewer than two readings', () => {
    const meter = new PowerMeter(estimateSource(100, () => ({ busyMs: 0, allMs: 0 })));
    assert.equal(meter.profile(), undefined);
    meter.sample(at(0), 0);

    assert.equal(meter.profile(), undefined);
  });

  test('keeps a bounded number of readings of a long run, and all of its energy', () => {
    const meter = new PowerMeter(estimateSource(20, () => ({ busyMs: 0, allMs: 0 })));
    for (let second = 0; second <= 10_000; second++) meter.sample(at(1000 * second), second);

    const profile = meter.profile()!;
    assert.ok(profile.readings.length <= 2048 && profile.readings.length > 500);
    assert.equal(profile.joules, 200_000);
    assert.ok(profile.readings.every(({ watts }) => Math.abs(watts - 20) < 1e-9));
  });
});
