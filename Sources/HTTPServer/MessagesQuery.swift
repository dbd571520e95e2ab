import HTTPTypes
import RelayCore

/// What `GET /v1/email/messages` asks for.
struct MessagesQuery: Hashable, Sendable {
    var limit = MessagesQuery.defaultLimit
    /// Messages before this one, in the order of the list.
    var cursor: MessageID?
    var status: MessageState?
    var tag: String?
    var since: Timestamp?

    static let defaultLimit = 20
    static let maximumLimit = 100

    private static let names = ["limit", "cursor", "status", "tag", "since"]

    static func read(
        _ parameters: some Collection<(key: Substring, value: Substring)>, in environment: Environment
    ) -> Result<MessagesQuery, Problem> {
        var query = MessagesQuery()
        var mistakes: [String] = []
        var seen: Set<Substring> = []
        for (name, text) in parameters {
            guard seen.insert(name).inserted else {
                mistakes.append("\(name) is given twice; give it once")
                continue
            }
            if let mistake = query.set(String(name), String(text), environment) { mistakes.append(mistake) }
        }
        guard mistakes.isEmpty else {
            return .failure(
                Problem(
                    .refusal(.invalid), .unprocessableContent,
                    "The query is not understood: \(mistakes.joined(separator: "; "))."))
        }
        return .success(query)
    }

    /// Returns what is wrong, if anything is.
    private mutating func set(_ name: String, _ text: String, _ environment: Environment) -> String? {
        switch name {
        case "limit":
            guard let number = Int(text), (1...MessagesQuery.maximumLimit).contains(number) else {
                return "limit must be a number from 1 to \(MessagesQuery.maximumLimit)"
            }
            limit = number
        case "cursor":
            guard let id = MessageID(text) else { return "cursor must be the next_cursor of an earlier page" }
            cursor = id
        case "status":
            guard let asked = MessageStatus(rawValue: text) else {
                return "status must be one of \(MessageStatus.allCases.map(\.rawValue).joined(separator: ", "))"
            }
            status = asked.state(in: environment)
        case "tag":
            if let fault = MessageTags.fault(of: text) { return "tag \(fault)" }
            tag = text
        case "since":
            guard let time = Timestamp(rfc3339: text.utf8) else {
                return "since must be a time as in 2026-01-31T12:00:00Z"
            }
            since = time
        default:
            return "there is no parameter \(name.prefix(40).filter { $0.isASCII && $0.isLetter }); "
                + "known are \(MessagesQuery.names.joined(separator: ", "))"
        }
        return nil
    }

    func filter(of key: KeyID) -> MessageFilter {
        var filter = MessageFilter(key: key, state: status, since: since)
        filter.tag = tag
        filter.before = cursor
        return filter
    }
}
