import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What systemd passes to a service, and what the service reports to it: sd_notify(3), sd_listen_fds(3),
/// sd_watchdog_enabled(3).
///
/// These protocols are a few lines each, so the relay needs no libsystemd.
struct ServiceManager: Sendable {
    private let address: String?
    /// How long systemd waits for a sign of life; nil if it does not wait for one.
    let watchdogInterval: Duration?
    /// The listening sockets that were passed on, with their names.
    let sockets: [(descriptor: CInt, name: String)]

    private static let firstDescriptor: CInt = 3

    init(environment: [String: String], processID: Int32) {
        address = environment["NOTIFY_SOCKET"].flatMap { $0.isEmpty ? nil : $0 }
        let isWatched = environment["WATCHDOG_PID"].map { $0 == String(processID) } ?? true
        watchdogInterval =
            isWatched
            ? environment["WATCHDOG_USEC"].flatMap(Int64.init).flatMap { $0 > 0 ? .microseconds($0) : nil } : nil
        guard environment["LISTEN_PID"] == String(processID), let count = environment["LISTEN_FDS"].flatMap(Int.init),
            (1...64).contains(count)
        else {
            sockets = []
            return
        }
        let names = (environment["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false)
        sockets = (0..<count).map { index in
            let descriptor = ServiceManager.firstDescriptor + CInt(index)
            // Programs that this process may start must not inherit the sockets.
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            return (descriptor, index < names.count ? String(names[index]) : "")
        }
    }

    /// Whether the journal reads standard error. JOURNAL_STREAM stays set when standard error is redirected. So it
    /// contains the device and the inode of the journal's stream, which are compared with those of standard error
    /// (systemd.exec(5)).
    static func readsStandardError(_ environment: [String: String]) -> Bool {
        var status = stat()
        guard let stream = environment["JOURNAL_STREAM"], fstat(STDERR_FILENO, &status) == 0 else { return false }
        return stream == "\(status.st_dev):\(status.st_ino)"
    }

    /// Sends `state`, such as `READY=1`, if a service manager listens. Never fails: the service works without one.
    ///
    /// - Parameter waits: whether the state must arrive. If false, the function does not wait for a slow service
    ///   manager: waiting would block a thread that mail needs, and the next sign of life will arrive.
    func notify(_ state: String, waits: Bool = false) {
        guard let address else { return }
        var target = sockaddr_un()
        target.sun_family = sa_family_t(AF_UNIX)
        let path = Array(address.utf8)
        let capacity = MemoryLayout.size(ofValue: target.sun_path)
        guard path.count < capacity else { return }
        withUnsafeMutableBytes(of: &target.sun_path) { buffer in
            buffer.copyBytes(from: path)
            // An abstract socket is written with @ in place of its first octet, 0.
            if path.first == UInt8(ascii: "@") { buffer[0] = 0 }
        }
        let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
        let bytes = Array(state.utf8)
        let flags = CInt(MSG_NOSIGNAL | (waits ? 0 : MSG_DONTWAIT))
        _ = withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                sendto(descriptor, bytes, bytes.count, flags, address, length)
            }
        }
    }
}
