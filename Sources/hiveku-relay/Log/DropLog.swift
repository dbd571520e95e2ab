import Admission
import Logging
import RelayCore
import Settings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension DropLog {
    /// Writes to the system's log, because a command drops the messages, and its process is not the relay's.
    init(_ settings: RelaySettings.Log) {
        let settings = LogSettings(settings)
        self.init(
            to: Logger(label: "hiveku-relay") { _ in
                RelayLogHandler(settings: settings, to: .systemLog, clock: SystemClock())
            })
    }

    /// Does the same as ``write(_:of:now:)``. Prints an error if it fails.
    func write(_ messages: [MessageID], of store: any RelayStore) async {
        do {
            try await write(messages, of: store, now: store.commandClock.now())
        } catch {
            // The messages are dropped anyway, and the database records that.
            printError("The dropped messages could not be written to the system log: \(error)")
        }
    }
}

/// Writes lines with syslog(3). If neither the journal nor a syslog daemon listens, the lines are lost.
enum SystemLog {
    /// The name that systemd gives the service's own lines, so that one search finds the lines of the service and of
    /// the commands.
    private static let name: StaticString = "hiveku-relay"

    private static let opened: Void = name.withUTF8Buffer { name in
        // openlog keeps the pointer. It stays valid, because a static string stays at its address.
        name.withMemoryRebound(to: CChar.self) { openlog($0.baseAddress, LOG_PID, mail) }
    }

    /// `LOG_MAIL`.
    private static let mail: CInt = 2 << 3

    static func write(_ line: String, priority: Int) {
        _ = opened
        line.withCString { line in
            withVaList([line]) { vsyslog(CInt(priority), "%s", $0) }
        }
    }
}
