use std::io::ErrorKind;
use std::sync::mpsc;
use std::time::Instant;

use super::*;

/// Takes the bytes for which it has room, and then fails.
struct Disk {
    content: Vec<u8>,
    /// The room after each failure, the last one first.
    room: Vec<usize>,
    error: ErrorKind,
}

impl Disk {
    fn new(error: ErrorKind, room: &[usize]) -> Self {
        Self { content: Vec::new(), room: room.to_vec(), error }
    }
}

impl Write for &mut Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(room) = self.room.last_mut() else {
            self.content.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        if *room == 0 {
            self.room.pop();
            return Err(self.error.into());
        }
        let count = bytes.len().min(*room);
        *room -= count;
        self.content.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is on `disk` after these lines.
fn written(disk: &mut Disk, queue: &Queue, lines: &[&str]) -> String {
    for line in lines {
        queue.push(line.as_bytes(), Priority::High);
    }
    Writer::new(&mut *disk, Duration::ZERO).write_next(queue);
    String::from_utf8(disk.content.clone()).unwrap()
}

#[test]
fn a_disk_that_becomes_full_loses_no_line() {
    for (room, expected) in [
        (vec![], "first\nsecond\nthird\n"),
        (vec![0], "first\nsecond\nthird\n"),
        (vec![6], "first\nsecond\nthird\n"),
        // Cut in the second line; then only the end of that part fits; then nothing.
        (vec![0, 1, 9], "first\nsec\nsecond\nthird\n"),
        (vec![3], "fir\nfirst\nsecond\nthird\n"),
    ] {
        let queue = Queue::new(1000);
        let mut disk = Disk::new(ErrorKind::StorageFull, &room);
        assert_eq!(written(&mut disk, &queue, &["first\n", "second\n", "third\n"]), expected, "{room:?}");
        assert!(!queue.is_failing());
    }
}

#[test]
fn a_pipe_that_is_full_for_a_moment_cuts_no_line() {
    let mut disk = Disk::new(ErrorKind::WouldBlock, &[2, 0, 9]);
    assert_eq!(written(&mut disk, &Queue::new(1000), &["first\n", "second\n"]), "first\nsecond\n");
}

#[test]
fn it_fails_until_all_is_written_and_without_a_reader_for_good() {
    let queue = Queue::new(1000);
    queue.failed(&ErrorKind::StorageFull.into());
    assert!(queue.is_failing());
    assert_eq!(written(&mut Disk::new(ErrorKind::Other, &[]), &queue, &["a\n"]), "a\n");
    assert!(!queue.is_failing());
    assert!(futures_util::FutureExt::now_or_never(queue.closed()).is_none());
    queue.failed(&ErrorKind::BrokenPipe.into());
    assert!(futures_util::FutureExt::now_or_never(queue.closed()).is_some());
}

#[test]
fn half_of_the_queue_is_only_for_records_and_what_did_not_fit_is_counted() {
    let queue: &Queue = Box::leak(Box::new(Queue::new(1000)));
    let line = [b'x'; 250];
    for _ in 0..3 {
        Lines(queue).write_all(&line).unwrap();
    }
    assert!(!queue.is_failing(), "the third line is dropped");
    queue.push(&line, Priority::High);
    assert!(queue.is_failing(), "commands are refused while there is still room for those that run");
    queue.push(&line, Priority::High);
    queue.push(b"y", Priority::High);
    let mut disk = Disk::new(ErrorKind::Other, &[]);
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Lines(queue));
    tracing::subscriber::with_default(log.finish(), || written(&mut disk, queue, &[]));
    assert_eq!(disk.content.len(), 1000);
    assert!(!queue.is_failing());
    let warning = written(&mut disk, queue, &[]);
    assert!(warning.contains("WARN") && warning.contains("lines=2"), "{warning}");
    assert_eq!(warning.matches("lines=").count(), 1);
}

#[test]
fn any_number_of_access_lines_leaves_room_for_others_and_refuses_no_command() {
    let queue = Queue::new(1000);
    for _ in 0..100 {
        queue.push(&[b'x'; 50], Priority::Lowest);
    }
    assert!(!queue.is_failing());
    queue.push(&[b'y'; 350], Priority::Low);
    let lines = queue.take();
    assert_eq!(lines, [[b'x'; 100].as_slice(), &[b'y'; 350]].concat());
}

#[test]
fn lines_count_until_they_are_written() {
    let queue = Queue::new(1000);
    queue.push(&[b'x'; 600], Priority::High);
    assert_eq!(queue.take().len(), 600);
    assert!(queue.is_failing(), "more than half is being written");
    let start = Instant::now();
    queue.flush(Duration::from_millis(50));
    assert!(start.elapsed() >= Duration::from_millis(50), "the end of the process waits for it");
    queue.push(&[b'y'; 500], Priority::High);
    queue.wrote_all();
    assert!(!queue.is_failing(), "there was no room for more");
}

/// Blocks in each write until told to go on.
struct Blocked(mpsc::Receiver<()>);

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.recv().map_err(|_| ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_stalls_is_noticed_and_flush_waits_only_so_long() {
    let queue = Queue::new(1000);
    let (go_on, blocked) = mpsc::channel();
    std::thread::scope(|scope| {
        queue.push(b"a\n", Priority::High);
        scope.spawn(|| Writer::new(Blocked(blocked), Duration::ZERO).write_next(&queue));
        let start = Instant::now();
        while !queue.is_failing() && start.elapsed() < Duration::from_secs(20) {
            queue.flush(Duration::from_millis(10));
        }
        assert!(queue.is_failing());
        assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
        go_on.send(()).unwrap();
        queue.flush(Duration::from_secs(20));
        assert!(!queue.is_failing());
    });
}
