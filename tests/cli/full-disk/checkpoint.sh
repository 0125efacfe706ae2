# A disk that fills while a checkpoint is written: one line, exit code 1, and the last good checkpoint goes on.
tokenize -q --tokenizer "$GRISTMILL_TESTDATA/tokenizer/small.json" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
options="--layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 64 --checkpoint-every 2 --keep-checkpoints 0 --tokens 384"
pretrain -q -j1 --run-dir whole $options t.tok.zst
pretrain -q -j1 --run-dir cut $options t.tok.zst
rm -r cut/checkpoints/step-4 cut/checkpoints/step-6
find cut/checkpoints -type f -exec sha256sum {} + | sort >before.txt
model=$(wc -c <whole/checkpoints/step-2/model.safetensors)
[ "$(wc -c <whole/checkpoints/step-2/optimizer.safetensors)" -gt $((model + 4096)) ]
# No file may grow beyond the model's: the optimizer's, twice as large, is the one that does not fit.
code=0
(ulimit -f $((model / 1024 + 2)) && exec pretrain -q -j1 --run-dir cut $options --resume t.tok.zst) 2>err.txt || code=$?
[ $code -eq 1 ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q "optimizer.safetensors: File too large" err.txt || { cat err.txt; exit 1; }
[ "$(ls -A cut/checkpoints)" = step-2 ]
find cut/checkpoints -type f -exec sha256sum {} + | sort | cmp - before.txt
pretrain -q -j1 --run-dir cut $options --resume t.tok.zst
for file in model.safetensors optimizer.safetensors trainer.json; do
  cmp whole/checkpoints/step-6/$file cut/checkpoints/step-6/$file
done
# Metrics that cannot be kept end the run too.
mkdir full
ln -s /dev/full full/metrics.jsonl
code=0
pretrain -q --run-dir full $options --resume t.tok.zst 2>err.txt || code=$?
[ $code -eq 1 ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q "metrics.jsonl" err.txt || { cat err.txt; exit 1; }
