import Foundation
import Logging
import RelayCore
import Settings
import Synchronization

/// Writes log lines to standard error: for people or as JSON, and for journald where it listens.
struct RelayLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    private let format: RelaySettings.Log.Format
    private let toJournal: Bool
    private let clock: any RelayClock

    /// - Parameter toJournal: the journal puts a time to each line by itself and reads the severity from a prefix
    ///   (sd-daemon(3)).
    init(level: Logger.Level, format: RelaySettings.Log.Format, toJournal: Bool, clock: any RelayClock) {
        logLevel = level
        self.format = format
        self.toJournal = toJournal
        self.clock = clock
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
            switch format {
            case .text: text(event.level, event.message, all)
            case .json: json(event.level, event.message, all)
            }
        LogOutput.standardError.write(Array(line.utf8), isUrgent: event.level >= .warning)
    }

    private func text(_ level: Logger.Level, _ message: Logger.Message, _ metadata: Logger.Metadata) -> String {
        var line = toJournal ? "<\(level.priority)>" : "\(clock.now().rfc3339) \(level.rawValue) "
        line += oneLine("\(message)")
        for (name, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let text = oneLine("\(value)")
            line += " \(name)="
            line += text.isEmpty || text.utf8.contains(where: mustBeQuoted) ? quoted(text) : text
        }
        return line + "\n"
    }

    private func json(_ level: Logger.Level, _ message: Logger.Message, _ metadata: Logger.Metadata) -> String {
        var members = metadata.mapValues { JSONValue.string("\($0)") }
        members["level"] = .string(level.rawValue)
        members["message"] = .string("\(message)")
        if !toJournal { members["time"] = JSONValue(clock.now()) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Strings and nothing else: there is nothing in it that JSON can't say.
        guard let data = try? encoder.encode(JSONValue.object(members)) else { return "" }
        return (toJournal ? "<\(level.priority)>" : "") + String(decoding: data, as: UTF8.self) + "\n"
    }

    private func mustBeQuoted(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "=")
    }

    private func quoted(_ text: String) -> String {
        "\"" + text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"") + "\""
    }

    /// What comes from outside must not look like another line.
    private func oneLine(_ text: String) -> String { printable(text) }
}

extension Logger.Level {
    /// The severity of syslog(3).
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
