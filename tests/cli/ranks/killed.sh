# A killed rank ends the others, is named, and no checkpoint is begun.
command -v mpirun >/dev/null || { echo "[skipped] mpirun is not installed; scripts/setup installs it"; exit; }
ranks=$GRISTMILL_SOURCE/tests/support/ranks
tokenize -q --tokenizer "$GRISTMILL_TESTDATA/tokenizer/small.json" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
options="--layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 96 --micro-batch-tokens 32 --tokens 9600000 --checkpoint-every 0"
cat >rank.sh <<'END'
echo $$ >pid-$OMPI_COMM_WORLD_RANK
exec "$@"
END
"$ranks" 3 bash rank.sh pretrain -q -j1 --run-dir run $options t.tok.zst >mpirun.txt 2>&1 &
job=$!
while [ ! -s run/metrics.jsonl ]; do sleep 0.01; done
begin=$SECONDS code=0
kill -KILL "$(cat pid-1)"
wait $job || code=$?
[ $((SECONDS - begin)) -lt 30 ] && [ $code -ne 0 ]
# Open MPI 5 breaks the line.
tr '\n' ' ' <mpirun.txt | grep -q "rank 1 with PID .* exited on *signal 9" || { cat mpirun.txt; exit 1; }
runs() { [[ -r /proc/$1/stat && $(sed 's/.*) //' /proc/$1/stat) != Z* ]]; }  # not what only waits to be collected
for rank in 0 2; do
  while runs "$(cat pid-$rank)"; do
    [ $((SECONDS - begin)) -lt 30 ] || { echo "rank $rank is still there"; exit 1; }
    sleep 0.1
  done
done
[ -z "$(ls -A run/checkpoints)" ]
