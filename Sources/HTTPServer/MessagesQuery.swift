import HTTPTypes
import RelayCore

/// The query of `GET /v1/email/messages`.
struct MessagesQuery: Hashable, Sendable {
    var limit = MessagesQuery.defaultLimit
    /// Messages after this one in the order of the list.
    var cursor: MessageID?
    /// The requested `status`: of the message, or of one of its recipients.
    var state: MessageState?
    var recipientStatus: RecipientStatus?
    var tag: String?
    var since: Timestamp?

    static let defaultLimit = 20
    static let maximumLimit = 100

    /// The statuses of a message, followed by those that only a recipient can have.
    static let statuses =
        MessageStatus.allCases.map(\.rawValue)
        + RecipientStatus.allCases.map(\.rawValue).filter { MessageStatus(rawValue: $0) == nil }

    private static let names = ["limit", "cursor", "status", "tag", "since"]

    static func read(_ query: some StringProtocol, in environment: Environment) -> Result<MessagesQuery, Problem> {
        guard let parameters = try? FormQuery.parameters(query) else {
            return .failure(
                problem(["A percent sign in the query must be followed by two hexadecimal digits of UTF-8."]))
        }
        var read = MessagesQuery()
        var mistakes: [String] = []
        var seen: Set<String> = []
        for (name, text) in parameters where mistakes.count < maximumMistakes {
            if !seen.insert(name).inserted {
                mistakes.append("A parameter is given twice; give each one once.")
            } else if let mistake = read.set(name, text, environment) {
                mistakes.append(mistake)
            }
        }
        return mistakes.isEmpty ? .success(read) : .failure(problem(mistakes))
    }

    private static let maximumMistakes = 10

    private static func problem(_ mistakes: [String]) -> Problem {
        Problem(.refusal(.invalid), .unprocessableContent, mistakes.joined(separator: " "))
    }

    /// Sets a parameter. Returns what is wrong with it; nil if nothing is.
    private mutating func set(_ name: String, _ text: String, _ environment: Environment) -> String? {
        switch name {
        case "limit":
            guard let number = Int(text), (1...MessagesQuery.maximumLimit).contains(number) else {
                return "The parameter limit must be a number from 1 to \(MessagesQuery.maximumLimit)."
            }
            limit = number
        case "cursor":
            guard let id = MessageID(text) else {
                return "The parameter cursor must be the next_cursor of an earlier page."
            }
            cursor = id
        case "status":
            // `suppressed` is read as the status of a recipient: one suppressed recipient is enough, as for the
            // statuses that follow from events.
            if let asked = MessageStatus(rawValue: text), asked != .suppressed {
                state = asked.state(in: environment)
            } else if let asked = RecipientStatus(rawValue: text) {
                recipientStatus = asked
            } else {
                return "The parameter status must be one of \(MessagesQuery.statuses.joined(separator: ", "))."
            }
        case "tag":
            if let fault = MessageTags.fault(of: text) { return "The tag in the query \(fault)." }
            tag = text
        case "since":
            // A plus sign that was not encoded has become a space.
            guard let time = Timestamp(rfc3339: text.utf8.map { $0 == 0x20 ? UInt8(ascii: "+") : $0 }) else {
                return "The parameter since must be a time such as 2026-01-31T12:00:00Z."
            }
            since = time
        default:
            return "A parameter is not known; the parameters are \(MessagesQuery.names.joined(separator: ", "))."
        }
        return nil
    }

    func filter(of key: KeyID) -> MessageFilter {
        var filter = MessageFilter(key: key, state: state, since: since)
        filter.status = recipientStatus
        filter.tag = tag
        filter.before = cursor
        return filter
    }
}
