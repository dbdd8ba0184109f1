//! The one who decides on calls: takes the state and the descriptor at a socket, and answers one call.

use nix::libc;
use std::mem::zeroed;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;

/// What becomes of the call.
#[derive(Clone, Copy)]
pub enum Answer {
    Errno(i32),
    Value(i64),
    Continue,
    /// None: the descriptor is closed.
    Leave,
}

/// What came.
pub struct Heard {
    /// The state of the container's process.
    pub text: String,
    /// The call.
    pub number: i32,
}

pub struct Server(JoinHandle<Heard>);

impl Server {
    pub fn ended(self) -> Heard {
        self.0.join().expect("a listener")
    }
}

/// Listens at `path` for one container.
pub fn listen(path: &Path, answer: Answer) -> Server {
    let socket = UnixListener::bind(path).expect("a socket");
    Server(std::thread::spawn(move || {
        let (stream, _) = socket.accept().expect("a connection");
        let (text, descriptor) = receive(&stream);
        let number = match answer {
            Answer::Leave => 0,
            _ => decide(descriptor, answer),
        };
        unsafe { libc::close(descriptor) };
        Heard { text, number }
    }))
}

/// All of the text, and the one descriptor that came with it.
fn receive(stream: &UnixStream) -> (String, i32) {
    let mut text = Vec::new();
    let mut descriptor = -1;
    loop {
        let mut room = [0u8; 4096];
        let mut control = [0u64; 8];
        let mut vector = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        unsafe {
            let mut header: libc::msghdr = zeroed();
            (header.msg_iov, header.msg_iovlen) = (&raw mut vector, 1);
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = size_of_val(&control);
            let length = libc::recvmsg(stream.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC);
            assert!(length >= 0, "{}", std::io::Error::last_os_error());
            if length == 0 {
                break;
            }
            text.extend_from_slice(&room[..length as usize]);
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            if !first.is_null() {
                assert_eq!(((*first).cmsg_level, (*first).cmsg_type), (libc::SOL_SOCKET, libc::SCM_RIGHTS));
                assert_eq!((*first).cmsg_len, libc::CMSG_LEN(4) as usize);
                assert_eq!(descriptor, -1, "a second descriptor");
                descriptor = libc::CMSG_DATA(first).cast::<i32>().read_unaligned();
            }
        }
    }
    assert!(descriptor >= 0, "no descriptor");
    (String::from_utf8(text).expect("UTF-8"), descriptor)
}

/// `struct seccomp_notif`
#[repr(C)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    arch: u32,
    instruction: u64,
    args: [u64; 6],
}

/// `struct seccomp_notif_resp`
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

fn decide(descriptor: i32, answer: Answer) -> i32 {
    const SECCOMP_IOCTL_NOTIF_RECV: libc::c_ulong = 0xc050_2100;
    const SECCOMP_IOCTL_NOTIF_SEND: libc::c_ulong = 0xc018_2101;
    unsafe {
        let mut call: Notification = zeroed();
        assert_eq!(libc::ioctl(descriptor, SECCOMP_IOCTL_NOTIF_RECV as _, &raw mut call), 0);
        let (value, error, flags) = match answer {
            Answer::Errno(errno) => (0, -errno, 0),
            Answer::Value(value) => (value, 0, 0),
            Answer::Continue | Answer::Leave => (0, 0, 1),
        };
        let mut response = Response { id: call.id, value, error, flags };
        assert_eq!(libc::ioctl(descriptor, SECCOMP_IOCTL_NOTIF_SEND as _, &raw mut response), 0);
        call.number
    }
}
