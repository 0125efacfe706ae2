# Options that change what is trained, each seen in its files: annealing data, batch ramp, Muon, zero-init, a longer
# context; and what is refused before a run directory is made.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
tac "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" | tokenize -q --tokenizer "$small" -o clean.tok.zst
shape="--layers 1 --dim 16 --heads 2 --context 32"
short="--batch-tokens 128 --micro-batch-tokens 64 --tokens 2560 --val t.tok.zst"
refused() {  # CODE WORDS OPTIONS...
  local wanted=$1 words=$2 code=0
  shift 2
  pretrain -q --run-dir refused "$@" t.tok.zst 2>err.txt || code=$?
  [ $code -eq "$wanted" ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q -- "$words" err.txt && [ ! -e refused ] || { echo "$code: $*"; cat err.txt; exit 1; }
}
refused 1 "--micro-batch-tokens" $shape --memory-limit 100k
refused 2 "--anneal-data" $shape --anneal-share 0.5
refused 2 "--batch-ramp" $shape --batch-ramp 2
refused 2 "the first batch of --batch-ramp" $shape --batch-ramp 2:0.1
refused 2 "--skip-outliers" $shape --skip-outliers -1
refused 2 "--z-loss" $shape --z-loss -1

pretrain --run-dir plain $shape $short --tokenizer "$small" --memory-limit 10M t.tok.zst 2>err.txt
for part in parameters gradients "optimizer state" "activations of one micro-batch" head sum; do grep -q "memory: $part: " err.txt; done
pretrain -q --run-dir annealed $shape $short --schedule constant --anneal-data clean.tok.zst --anneal-share 0.5 --batch-ramp 0.5:0.3 t.tok.zst
pretrain -q --run-dir muon $shape $short --optimizer muon t.tok.zst
pretrain -q --run-dir zero $shape --batch-tokens 128 --tokens 128 --warmup 0 --lr 1e-9 --zero-init t.tok.zst
python3 - <<'PYTHON'
import json, struct
def lines(run):
    return [json.loads(line) for line in open(run + "/metrics.jsonl")]
def tensors(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: struct.unpack("<%df" % ((item["data_offsets"][1] - item["data_offsets"][0]) // 4),
                                data[8 + size + item["data_offsets"][0]:8 + size + item["data_offsets"][1]])
            for name, item in header.items()}
rows = lines("annealed")
steps = [b["tokens"] - a["tokens"] for a, b in zip([{"tokens": 0}] + rows, rows)]
assert steps[0] == 64 and steps[-1] == 128 and steps == sorted(steps), steps
assert rows[0]["lr"] == 1e-3 and rows[-1]["lr"] < 2e-4, rows[-1]
assert lines("plain")[0]["loss"] == lines("muon")[0]["loss"]
assert lines("plain")[-1]["loss"] != lines("muon")[-1]["loss"]
muon = tensors("muon/checkpoints/step-20/optimizer.safetensors")
assert "m.model.layers.0.mlp.up_proj.weight" in muon and "v.model.layers.0.mlp.up_proj.weight" not in muon
zero = tensors("zero/checkpoints/step-1/model.safetensors")
for name in ("self_attn.o_proj", "mlp.down_proj"):
    assert max(map(abs, zero["model.layers.0." + name + ".weight"])) < 1e-8, name
assert max(map(abs, zero["model.layers.0.mlp.up_proj.weight"])) > 1e-3
PYTHON
# Annealing data are part of what a run is resumed with.
rm -r annealed/checkpoints/step-*
pretrain -q --run-dir annealed $shape $short --schedule constant --anneal-data clean.tok.zst --anneal-share 0.5 --batch-ramp 0.5:0.3 --resume --checkpoint-every 5 t.tok.zst
code=0
pretrain -q --run-dir annealed $shape $short --schedule constant --anneal-data t.tok.zst --anneal-share 0.5 --batch-ramp 0.5:0.3 --resume t.tok.zst 2>err.txt || code=$?
[ $code -eq 2 ]
grep -q "anneal-data" err.txt

# bf16: another arithmetic, seen in the record and in the weights; resumed on other threads to the same bytes.
pretrain -q -j1 --run-dir bf16 $shape $short --dtype bf16 --checkpoint-every 7 t.tok.zst
grep -q 'dtype = "bf16"' bf16/config.toml
cp -r bf16 bf16-parts
rm -r bf16-parts/checkpoints/step-20
pretrain -q -j2 --run-dir bf16-parts $shape $short --dtype bf16 --checkpoint-every 7 --resume t.tok.zst
cmp bf16/checkpoints/step-20/model.safetensors bf16-parts/checkpoints/step-20/model.safetensors
code=0
pretrain -q --run-dir bf16 $shape $short --resume t.tok.zst 2>err.txt || code=$?
[ $code -eq 2 ]
grep -q 'dtype (was "bf16", now "fp32")' err.txt

# What is computed anew in the backward pass changes the time and the memory, not a bit of the result; --qk-norm is another model.
for level in none norms block; do
  pretrain -q --run-dir again-$level $shape $short --optimizer muon --qk-norm --recompute $level t.tok.zst
  cmp again-none/checkpoints/step-20/model.safetensors again-$level/checkpoints/step-20/model.safetensors
done
grep -q Qwen3 again-none/checkpoints/step-20/config.json
pretrain -q --run-dir again-none $shape $short --optimizer muon --qk-norm --recompute block --resume t.tok.zst

# Width scaling is part of the model that is saved, and so of a resumed run.
pretrain -q --run-dir scaled $shape $short --mup-base-dim 8 --checkpoint-every 7 t.tok.zst
cp -r scaled scaled-parts
rm -r scaled-parts/checkpoints/step-20
pretrain -q --run-dir scaled-parts $shape $short --mup-base-dim 8 --checkpoint-every 7 --resume t.tok.zst
diff -r scaled/checkpoints/step-20 scaled-parts/checkpoints/step-20
if cmp -s scaled/checkpoints/step-20/model.safetensors plain/checkpoints/step-20/model.safetensors; then exit 1; fi

# A longer context: the same weights, another config.json.
refused 2 "shorter" --init plain --context 16
pretrain -q --run-dir long --init plain --context 64 --rope-theta 50000 --tokens 64 --batch-tokens 64 --lr 1e-9 t.tok.zst
grep -q '"max_position_embeddings": 64' long/checkpoints/step-1/config.json
grep -q '"rope_theta": 50000' long/checkpoints/step-1/config.json
pretrain -q --run-dir long --init plain --context 64 --rope-theta 50000 --tokens 64 --batch-tokens 64 --lr 1e-9 --resume t.tok.zst
