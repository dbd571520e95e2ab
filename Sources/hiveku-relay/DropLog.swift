import Logging
import RelayCore
import Settings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Tells the system's log which messages a command has ended, in the form of the relay's own log.
///
/// The relay logs the ends that its workers record. Dropping is done by another process: without these lines a message that was
/// dropped would have a beginning in the log and no end.
struct DropLog {
    private let logger: Logger

    init(_ settings: RelaySettings.Log) {
        let settings = LogSettings(settings)
        logger = Logger(label: "hiveku-relay") { _ in
            RelayLogHandler(settings: settings, to: .systemLog, clock: SystemClock())
        }
    }

    /// A line for each of these messages that has been dropped; some may have been sent before it came to that.
    func write(_ messages: [MessageID], of store: some MessageRecords) async {
        do {
            for start in stride(from: 0, to: messages.count, by: Steering.batch) {
                let batch = Array(messages[start..<min(start + Steering.batch, messages.count)])
                for message in try await store.messages(
                    MessageFilter(ids: batch, limit: batch.count), now: SystemClock().now())
                {
                    write(message)
                }
            }
        } catch {
            // They are dropped all the same, and on record as such.
            printError("What was dropped can't be told to the system's log: \(error)")
        }
    }

    private func write(_ message: MessageRecord) {
        let dropped = message.deliveries.filter { $0.state == .failed && $0.reason == droppedReason }
        guard !dropped.isEmpty else { return }
        logger.info(
            "failed",
            metadata: [
                "message": "\(message.id)", "key": "\(message.key)", "lane": "\(message.environment.rawValue)",
                "recipients": "\(dropped.reduce(0) { $0 + $1.recipients.count })", "reason": "\(droppedReason)",
            ])
    }
}

/// syslog(3), where the journal or a syslog daemon listens; elsewhere lines go nowhere.
enum SystemLog {
    /// As systemd names the service's own lines, so that one search finds both.
    private static let name: StaticString = "hiveku-relay"

    private static let opened: Void = name.withUTF8Buffer { name in
        // Kept by openlog: a static string stays where it is.
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
