import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { machineFacts } from '../checks/machine-facts.ts';
import { refuseConnection } from '../../protocol/greeting.ts';
import { newToken, tokenText } from '../../access/token.ts';
import { listen } from '../../transport/tcp.ts';
import { askCoordinator, judge } from './coordinator-answer.ts';
import { outcomeOfCode } from './dial.ts';
import { gatherDoorway, parseHolder } from './doorway.ts';
import { gatherFacts, parseOpenFiles } from './gather-facts.ts';
import { gatherLinkFile } from './link-file.ts';
import { areNeighbours, isVirtualName, parseInputChains } from './networks.ts';
import { gatherPlaces } from './places.ts';
import { findProgram, outputOf } from './run-program.ts';
import { gnomeSleep, macSleep } from './sleep.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-facts-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('gatherFacts', () => {
  test('gives what the parser of other hosts takes, unchanged', async () => {
    const facts = await gatherFacts({ environment: process.env, runs: folder });

    assert.deepEqual(machineFacts.parse(JSON.parse(JSON.stringify(facts))), facts);
    assert.equal(facts.node?.version, process.versions.node);
    assert.equal(facts.devices?.find(({ device }) => device === 'cpu')?.isAvailable, true);
    assert.ok(facts.memory!.availableBytes > 0);
  });
});

describe('gatherPlaces', () => {
  test('looks at the folder above one that is still to be made', () => {
    const place = gatherPlaces(join(folder, 'not', 'yet'), process.env)[0]!;

    assert.equal(place.folder, folder);
    assert.ok(place.freeBytes! > 0);
  });
});

describe('gatherDoorway', () => {
  test('says whether a port can be listened at, and leaves it free', async () => {
    const holder = await listen({ host: '127.0.0.1', port: 0 }, (one) => one.destroy());
    const taken = await gatherDoorway(holder.address);
    await holder.close();

    assert.equal(taken.problem, 'EADDRINUSE');
    assert.deepEqual(await gatherDoorway(holder.address), holder.address);
    assert.deepEqual(await gatherDoorway(holder.address), holder.address, 'it was closed again');
    assert.equal((await gatherDoorway({ host: '192.0.2.77', port: 0 })).problem, 'EADDRNOTAVAIL');
  });

  test('reads who holds a port from what ss and lsof say', () => {
    const ss = 'LISTEN 0 511 127.0.0.1:29500 0.0.0.0:* users:(("node",pid=812,fd=20))\n';

    assert.equal(parseHolder(ss), 'node (process 812)');
    assert.equal(parseHolder('p812\ncnode\nf20\n'), 'node (process 812)');
    assert.equal(parseHolder(''), undefined);
  });
});

describe('askCoordinator', () => {
  test('tells a stranger from a coordinator, and one that is not there', async () => {
    const stranger = await listen({ host: '127.0.0.1', port: 0 }, (one) => one.close());
    const { reach, greeting } = await askCoordinator(stranger.address);
    await stranger.close();
    const absent = await askCoordinator(stranger.address);

    assert.equal(reach.outcome, 'reached');
    assert.equal(greeting?.kind, 'stranger');
    assert.equal(absent.reach.outcome, 'refused');
    assert.equal(absent.greeting, undefined);
  });

  test('has the reason of a coordinator of another version from its refusal', async () => {
    const reason = 'protocol versions differ: the coordinator speaks 8, the worker 9';
    const old = await listen({ host: '127.0.0.1', port: 0 }, (connection) => {
      connection.handlers = {
        onFrame: () => refuseConnection(connection, reason),
        onClose: () => {},
      };
    });
    const { greeting } = await askCoordinator(old.address);
    await old.close();

    assert.deepEqual(greeting, { kind: 'differs', reason });
  });

  test('takes the refusal of an unknown worker for a welcome, and no other', () => {
    const kindOf = (reason: string): string => judge({ kind: 'refused', reason }, 'desk', 1).kind;

    assert.equal(kindOf('this connection belongs to no member of the run'), 'welcome');
    assert.equal(kindOf('protocol versions differ: 7 and 9'), 'differs');
    assert.equal(kindOf('the token is not that of this run'), 'token');
    assert.equal(kindOf('you were put out'), 'refuses');
    assert.equal(judge({ kind: 'begin' }, 'desk', 1).kind, 'stranger');
  });

  test('knows from the code of the system where a connection ended', () => {
    const codes = ['ECONNREFUSED', 'EHOSTUNREACH', 'EPERM', 'ENOTFOUND', undefined];

    assert.deepEqual(codes.map(outcomeOfCode), [
      'refused',
      'unreachable',
      'forbidden',
      'name unknown',
      'silent',
    ]);
  });
});

describe('facts of the system', () => {
  test('have the limit of open files from Linux and from shells', () => {
    const limits =
      'Limit  Soft  Hard  Units\nMax open files            200       4096      files\n';

    assert.equal(parseOpenFiles(limits), 200);
    assert.equal(parseOpenFiles('unlimited\n'), Number.MAX_SAFE_INTEGER);
    assert.equal(parseOpenFiles('what?'), undefined);
  });

  test('have what puts a Mac or a desktop to sleep', () => {
    const pmset =
      ' standby 1\n sleep                10 (sleep prevented by powerd)\n displaysleep 5\n';

    assert.match(macSleep(pmset)!.why, /after 10 min/);
    assert.equal(macSleep(' sleep   0\n'), null);
    assert.equal(macSleep(''), undefined);
    assert.match(gnomeSleep("'suspend'\n", 'uint32 1200\n')!.why, /after 20 min/);
    assert.equal(gnomeSleep("'nothing'\n", 'uint32 1200\n'), null);
    assert.equal(gnomeSleep('', ''), undefined);
  });

  test('have the chains of nftables that packets for the machine go through', () => {
    const text = [
      'table inet filter {',
      '\tchain input {',
      '\t\ttype filter hook input priority filter; policy accept;',
      '\t}',
      '\tchain forward {',
      '\t\ttype filter hook forward priority filter; policy accept;',
      '\t}',
      '}',
      'table ip filter {',
      '\tchain INPUT {',
      '\t\ttype filter hook input priority filter; policy drop;',
    ].join('\n');

    assert.deepEqual(parseInputChains(text), ['inet filter input', 'ip filter INPUT']);
  });

  test('know neighbours, and interfaces that are none', () => {
    assert.ok(areNeighbours('10.0.0.2', '10.0.0.3'));
    assert.ok(!areNeighbours('10.0.1.2', '10.0.0.3'));
    assert.ok(!areNeighbours('fe80::1', 'fe80::2'));
    assert.deepEqual(['docker0', 'utun3', 'eth0', 'en0', 'wlan0'].map(isVirtualName), [
      ...[true, true],
      ...[false, false, false],
    ]);
  });

  test('have where a program is, and what it says within its time', async () => {
    assert.equal(findProgram('sh', { PATH: `/nowhere:/bin` }), '/bin/sh');
    assert.equal(findProgram('no-such-program', process.env), undefined);
    assert.equal(await outputOf(process.execPath, ['-p', '6 * 7']), '42\n');
    assert.equal(await outputOf(process.execPath, ['-e', 'process.exit(1)']), undefined);
    assert.equal(await outputOf('no-such-program', []), undefined);
  });
});

describe('gatherLinkFile', () => {
  test('says whether it holds something, and who may read it', () => {
    const path = join(folder, 'link');
    const token = tokenText(newToken('worker'));
    writeFileSync(path, `lockstep://127.0.0.1:29500/${token}\n`);
    chmodSync(path, 0o644);

    assert.deepEqual(gatherLinkFile(path), { path, isOpen: true });
    chmodSync(path, 0o600);
    assert.deepEqual(gatherLinkFile(path), { path });
    writeFileSync(path, 'something else\n');
    assert.match(gatherLinkFile(path).problem!, /^join link: expected lockstep:/);
    writeFileSync(path, ' \n');
    assert.deepEqual(gatherLinkFile(path), { path, problem: 'it is empty' });
    assert.match(gatherLinkFile(join(folder, 'none')).problem!, /ENOENT/);
    assert.equal(gatherLinkFile(folder).problem, 'it is no link');
  });
});
