import Foundation
import Logging
import RelayCore
import Settings
import Synchronization

/// Writes log lines, as text or as JSON, to standard error, to journald if it reads standard error, or to the system's
/// log.
struct RelayLogHandler: LogHandler {
    enum Destination: Sendable {
        case standardError
        /// The journal adds the time to each line itself, and reads the severity from a prefix (sd-daemon(3)).
        case journal
        /// For commands, whose standard error is for messages to the user.
        case systemLog
    }

    var metadata: Logger.Metadata = [:]
    private let settings: LogSettings
    /// The logger's own level, if it has one.
    private var ownLevel: Logger.Level?
    private let destination: Destination
    private let clock: any RelayClock

    init(settings: LogSettings, to destination: Destination, clock: any RelayClock) {
        self.settings = settings
        self.destination = destination
        self.clock = clock
    }

    var logLevel: Logger.Level {
        get { ownLevel ?? settings.level }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = metadata
        if let own = event.metadata { all.merge(own) { _, new in new } }
        if let error = event.error { all["error"] = "\(error)" }
        let line =
            switch settings.format {
            case .text: text(event.level, event.message, all)
            case .json: json(event.level, event.message, all)
            }
        switch destination {
        case .standardError: write(line, event.level)
        case .journal: write("<\(event.level.priority)>\(line)", event.level)
        case .systemLog: SystemLog.write(line, priority: event.level.priority)
        }
    }

    private func write(_ line: String, _ level: Logger.Level) {
        LogOutput.standardError.write(Array((line + "\n").utf8), isUrgent: level >= .warning)
    }

    /// Journald and syslog add the time to each line themselves.
    private var hasTime: Bool { destination == .standardError }

    private func text(_ level: Logger.Level, _ message: Logger.Message, _ metadata: Logger.Metadata) -> String {
        var line = hasTime ? "\(clock.now().rfc3339) \(level.rawValue) " : ""
        line += oneLine("\(message)")
        for (name, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let text = oneLine("\(value)")
            line += " \(name)="
            line += text.isEmpty || text.utf8.contains(where: mustBeQuoted) ? quoted(text) : text
        }
        return line
    }

    private func json(_ level: Logger.Level, _ message: Logger.Message, _ metadata: Logger.Metadata) -> String {
        var members = metadata.mapValues { JSONValue.string("\($0)") }
        // In JSON, `message` is the name of the line's text. So the id of a message gets another name, and is not lost.
        members["message_id"] = members["message"]
        members["level"] = .string(level.rawValue)
        members["message"] = .string("\(message)")
        if hasTime { members["time"] = JSONValue(clock.now()) }
        return String(decoding: JSONValue.object(members).bytes, as: UTF8.self)
    }

    private func mustBeQuoted(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "=")
    }

    private func quoted(_ text: String) -> String {
        "\"" + text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"") + "\""
    }

    /// Escapes line ends, so that text from outside can't look like another line.
    private func oneLine(_ text: String) -> String { printable(text) }
}

/// The settings that all loggers share. They can change while the relay runs.
final class LogSettings: Sendable {
    private let state: Mutex<(level: Logger.Level, format: RelaySettings.Log.Format)>

    /// - Parameter level: replaces the level of the settings.
    init(_ settings: RelaySettings.Log, level: Logger.Level? = nil) {
        state = Mutex((level ?? LogSettings.level(settings), settings.format))
    }

    var level: Logger.Level { state.withLock { $0.level } }
    var format: RelaySettings.Log.Format { state.withLock { $0.format } }

    func use(_ settings: RelaySettings.Log) {
        state.withLock { $0 = (LogSettings.level(settings), settings.format) }
    }

    private static func level(_ settings: RelaySettings.Log) -> Logger.Level {
        Logger.Level(rawValue: settings.level.rawValue) ?? .info
    }
}

extension Logger.Level {
    /// The severity as syslog(3) defines it.
    var priority: Int {
        switch self {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
