# Decoding on a GPU, emulated unless GRISTMILL_PARITY_DEVICE names another: the CPU's tokens, greedy and drawn, with weights as they are and in int8; and perplexity.
gpu=${GRISTMILL_PARITY_DEVICE:-emu} small=$GRISTMILL_TESTDATA/tokenizer/small.json
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
pretrain -q --run-dir base --tokenizer "$small" --layers 2 --dim 32 --heads 4 --kv-heads 2 --context 64 --batch-tokens 256 --tokens 2560 --lr 5e-3 t.tok.zst
for device in cpu $gpu; do
  {
    generate -q --device $device --model base --dtype fp32 --prompt "A mill" --temperature 0 --max-tokens 12 --output-ids
    generate -q --device $device --model base --dtype fp32 --prompt "the" --n 3 --temperature 0.9 --top-k 40 --top-p 0.95 --seed 5 --max-tokens 12 --output-ids
    generate -q --device $device --model base --dtype fp32 --weights int8 --prompt "the" --temperature 0 --max-tokens 12 --output-ids
  } >$device.jsonl
  eval-ppl -q --device $device --model base --dtype fp32 "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" >$device.json
done
# Steps that are recorded and replayed, and steps that are not, are the same to the last bit.
GRISTMILL_CUDA_GRAPHS=off generate -q --device $gpu --model base --dtype fp32 --prompt "the" --n 3 --temperature 0.9 --top-k 40 --top-p 0.95 --seed 5 --max-tokens 12 --output-ids >without.jsonl
cmp <(sed -n 2,4p $gpu.jsonl) without.jsonl
code=0
GRISTMILL_CUDA_GRAPHS=maybe generate -q --device emu --model base --prompt "the" 2>err.txt || code=$?
[ $code -eq 2 ]
grep -q 'GRISTMILL_CUDA_GRAPHS=maybe: expected on or off' err.txt
python3 - $gpu <<'PYTHON'
import json
import sys
cpu, emulated = ([json.loads(line) for line in open(name)] for name in ("cpu.jsonl", sys.argv[1] + ".jsonl"))
assert len(cpu) == len(emulated) == 5, (len(cpu), len(emulated))
for a, b in zip(cpu, emulated):
    assert a["ids"] == b["ids"], (a, b)
    assert abs(a["logprob"] - b["logprob"]) < 1e-3, (a, b)
cpu, emulated = (json.load(open(name)) for name in ("cpu.json", sys.argv[1] + ".json"))
assert abs(cpu["nll"] - emulated["nll"]) < 1e-4 * cpu["nll"], (cpu, emulated)
PYTHON
