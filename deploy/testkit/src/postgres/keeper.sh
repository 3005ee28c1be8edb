# Stops the server that the tests of one run share, and removes its directory, once the run has ended.
# Usage: sh keeper.sh <pid of the run> <directory>
run=$1
dir=$2

while kill -0 "$run" 2>/dev/null; do
    sleep 0.1
done

# SIGQUIT stops it without writing: the data is not needed.
server=$(head -n 1 "$dir/data/postmaster.pid" 2>/dev/null)
# If the server and an earlier keeper were killed, another process may have this id by now.
is_ours() {
    tr '\0' ' ' <"/proc/$server/cmdline" 2>/dev/null | grep -qF " $dir/data " ||
        ps -o args= -p "$server" 2>/dev/null | grep -qF " $dir/data "
}
if [ -n "$server" ] && is_ours; then
    kill -QUIT "$server" 2>/dev/null
    tries=0
    while kill -0 "$server" 2>/dev/null && [ "$tries" -lt 100 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
fi
rm -rf "$dir"
