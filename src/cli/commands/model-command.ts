import { Command } from 'commander';
import { readModelFile } from '../../job/model-source.ts';
import { describeNetwork } from '../../models/imported/describe-network.ts';
import { printJson } from '../shell/json-output.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Prints input, output and weights of the network as JSON: the names are those that --freeze takes.
Of a model.onnx that Lockstep wrote it prints also what the file takes, with the scale and shift
that lead from it to the network's input, and the file's metadata. Train it with
  lockstep train --model net.onnx --dataset cifar10 --freeze 'layer1.*,layer2.*'
Export it from PyTorch in training form, for batches of any size:
  torch.onnx.export(net.train(), x, 'net.onnx', opset_version=17,
                    training=torch.onnx.TrainingMode.TRAINING,
                    do_constant_folding=False, input_names=['x'],
                    dynamic_axes={'x': {0: 'batch'}})

Exit codes: 0 done, 1 failed, 2 wrong flags or files.`;

/** \`lockstep model\`: what is in an \`.onnx\` file. */
export function modelCommand(): Command {
  return new Command('model')
    .description('describe a network in an .onnx file')
    .argument('<file>', 'path of the file')
    .addHelpText('after', helpText(HELP))
    .action((path: string) => {
      const { graph, sha256, preamble, metadata } = readModelFile(path);
      printJson({
        file: path,
        sha256,
        ...(preamble && { takes: preamble.input, ...preamble.normalisation }),
        ...describeNetwork(graph),
        ...(metadata && { metadata: Object.fromEntries(metadata) }),
      });
    });
}
