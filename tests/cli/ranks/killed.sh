# A killed rank ends the others, is named, and no checkpoint is begun, whether or not the launcher sees it die.
command -v mpirun >/dev/null || { echo "[skipped] mpirun is not installed; scripts/setup installs it"; exit; }
ranks=$GRISTMILL_SOURCE/tests/support/ranks
tokenize -q --tokenizer "$GRISTMILL_TESTDATA/tokenizer/small.json" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
options="--layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 96 --micro-batch-tokens 32 --tokens 9600000 --checkpoint-every 0"
cat >rank.sh <<'END'
echo $$ >pid-$OMPI_COMM_WORLD_RANK
exec "$@"
END
cat >wrapped.sh <<'END'
"$@" &
echo $! >pid-$OMPI_COMM_WORLD_RANK
wait $!
sleep 100  # a launcher that watches this process sees nothing
END
runs() { [[ -r /proc/$1/stat && $(sed 's/.*) //' /proc/$1/stat) != Z* ]]; }  # not what only waits to be collected
kill_one() {  # SCRIPT WORDS: rank 1 of 3 is killed
  local begin code=0 job rank
  rm -rf run pid-*
  "$ranks" 3 bash "$1" pretrain -q -j1 --run-dir run $options t.tok.zst >mpirun.txt 2>&1 &
  job=$!
  while [ ! -s run/metrics.jsonl ]; do sleep 0.01; done
  begin=$SECONDS
  kill -KILL "$(cat pid-1)"
  # What some launchers send first, and a trainer takes for the wish to stop at the end of its step.
  [ "$1" = rank.sh ] || kill -TERM "$(cat pid-0)" "$(cat pid-2)"
  wait $job || code=$?
  [ $((SECONDS - begin)) -lt 30 ] && [ $code -ne 0 ] || { echo "code $code after $((SECONDS - begin)) s"; cat mpirun.txt; exit 1; }
  tr '\n' ' ' <mpirun.txt | grep -q "$2" || { cat mpirun.txt; exit 1; }  # Open MPI 5 breaks the line
  for rank in 0 2; do
    while runs "$(cat pid-$rank)"; do
      [ $((SECONDS - begin)) -lt 30 ] || { echo "rank $rank is still there"; exit 1; }
      sleep 0.1
    done
  done
  [ -z "$(ls -A run/checkpoints)" ]
}
kill_one rank.sh "rank 1 with PID .* exited on *signal 9"
kill_one wrapped.sh "pretrain: rank 1 (process [0-9]*) is gone; go on from the last checkpoint, if there is one, with --resume"
