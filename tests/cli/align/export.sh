# What a run exports is its last checkpoint's model in the type and the files that were asked for; the checkpoints stay as they are.
source "$GRISTMILL_SOURCE/tests/cli/align/chain" 160 12 10
sft -q --model base --data chats.jsonl --run-dir plain --batch-size 8
sft -q --model base --data chats.jsonl --run-dir sft --batch-size 8 --export out/chat --save-dtype bf16 --max-shard-size 20k
reward-train -q --model base --data pairs.jsonl --run-dir reward --batch-size 8 --export judge --save-dtype fp16
dpo -q --model base --data pairs.jsonl --run-dir dpo --batch-size 8 --export dpo-out
ppo -q --model base --reward-model judge --data prompts.jsonl --iterations 1 --rollout-batch 4 --max-response-tokens 8 --run-dir ppo --export ppo-out
diff -r plain/checkpoints sft/checkpoints  # the export is no part of the run
diff plain/config.toml sft/config.toml
[ ! -e out/chat/optimizer.safetensors ]
[ ! -e out/chat/trainer.json ]
[ ! -e out/chat.saving ]
cmp "$small" out/chat/tokenizer.json
generate -q --model out/chat --prompt "Hello" --max-tokens 4 --temperature 0 >a.txt
[ -s a.txt ]
python3 - <<'PYTHON'
import json, pathlib, struct
def tensors(folder):
    index = pathlib.Path(folder, "model.safetensors.index.json")
    files = sorted(set(json.load(open(index))["weight_map"].values())) if index.exists() else ["model.safetensors"]
    found = {}
    for file in files:
        data = pathlib.Path(folder, file).read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + size])
        header.pop("__metadata__")
        for name, item in header.items():
            begin, end = item["data_offsets"]
            raw = data[8 + size + begin:8 + size + end]
            if item["dtype"] == "BF16":
                raw = b"".join(b"\0\0" + raw[i:i + 2] for i in range(0, len(raw), 2))
            kind = {"F32": "f", "BF16": "f", "F16": "e"}[item["dtype"]]
            found[name] = (item["dtype"], item["shape"], struct.unpack("<%d%s" % (len(raw) // (2 if kind == "e" else 4), kind), raw))
    return files, found
def last(run):
    return max(pathlib.Path(run, "checkpoints").iterdir(), key=lambda path: int(path.name.split("-")[1]))
for folder, run, dtype, digits, several in (("out/chat", "sft", "BF16", 2 ** -8, True), ("judge", "reward", "F16", 2 ** -11, False),
                                            ("dpo-out", "dpo", "F32", 0, False), ("ppo-out", "ppo", "F32", 0, False)):
    files, exported = tensors(folder)
    _, saved = tensors(last(run))
    assert (len(files) > 1) == several, files
    assert sorted(exported) == sorted(saved)
    for name, (kind, shape, values) in exported.items():
        assert kind == dtype and saved[name][0] == "F32" and shape == saved[name][1]
        assert all(abs(a - b) <= digits * abs(b) + 2 ** -25 for a, b in zip(values, saved[name][2])), (folder, name)
    if several:
        index = json.load(open(folder + "/model.safetensors.index.json"))
        assert index["metadata"]["total_size"] == sum(2 * len(values) for _, _, values in exported.values())
    named = json.load(open(folder + "/config.json"))["torch_dtype"]
    assert named == {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}[dtype]
PYTHON

# A folder that is there is refused before anything is trained; a finished run exports without another step.
mkdir taken
touch taken/file
code=0
sft -q --model base --data chats.jsonl --run-dir never --batch-size 8 --export taken 2>err.txt || code=$?
[ $code -eq 2 ] && grep -q "taken is there already" err.txt && [ ! -e never ] || { cat err.txt; exit 1; }
# What a killed export left is replaced; what it cannot have left stays.
mkdir again.saving
touch again.saving/model-00001-of-00009.safetensors
sft -q --model base --data chats.jsonl --run-dir sft --batch-size 8 --resume --export again --save-dtype bf16 --max-shard-size 20k
diff -r out/chat again
sft -q --model base --data chats.jsonl --run-dir sft --batch-size 8 --resume --export whole --max-shard-size 0
cmp whole/model.safetensors "sft/checkpoints/$(ls -v sft/checkpoints | tail -n 1)/model.safetensors"
[ ! -e again.saving ]
mkdir more.saving
touch more.saving/diary.txt
code=0
sft -q --model base --data chats.jsonl --run-dir sft --batch-size 8 --resume --export more 2>err.txt || code=$?
[ $code -eq 2 ] && grep -q "more.saving first, and that holds diary.txt" err.txt && [ -e more.saving/diary.txt ] && [ ! -e more ] || { cat err.txt; exit 1; }
# A weight that fp16 cannot hold ends with one line; the run is kept.
code=0
sft -q --model base --data chats.jsonl --run-dir hot --batch-size 8 --epochs 1 --lr 1e7 --clip-norm 0 --warmup 0 --export half --save-dtype fp16 2>err.txt || code=$?
[ $code -eq 1 ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q "which f16 cannot" err.txt && [ ! -e half ] && [ ! -e half.saving ] && ls hot/checkpoints | grep -q step- || { cat err.txt; exit 1; }
