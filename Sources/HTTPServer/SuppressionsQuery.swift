import Foundation
import RelayCore

/// The query of `GET /v1/email/suppressions`.
struct SuppressionsQuery: Hashable, Sendable {
    var limit = MessagesQuery.defaultLimit
    /// The last address of the previous page, in the form in which addresses are compared.
    var cursor: String?
    var reason: SuppressionReason?
    var search: String?

    /// The largest number of characters of a search.
    static let longestSearch = 254

    static func read(_ query: some StringProtocol) -> Result<SuppressionsQuery, Problem> {
        var read = SuppressionsQuery()
        return QueryParameters.problem(query, ["limit", "cursor", "reason", "search"]) { read.set($0, $1) }
            .map { .failure($0) } ?? .success(read)
    }

    /// Sets a parameter. Returns what is wrong with it; nil if nothing is.
    private mutating func set(_ name: String, _ text: String) -> String? {
        switch name {
        case "limit":
            guard let number = Int(text), (1...MessagesQuery.maximumLimit).contains(number) else {
                return "The parameter limit must be a number from 1 to \(MessagesQuery.maximumLimit)."
            }
            limit = number
        case "cursor":
            guard let key = SuppressionsQuery.matchKey(cursor: text) else {
                return "The parameter cursor must be the next_cursor of an earlier page."
            }
            cursor = key
        case "reason":
            guard let known = SuppressionReason(rawValue: text) else {
                let names = SuppressionReason.allCases.map(\.rawValue).joined(separator: ", ")
                return "The parameter reason must be one of \(names)."
            }
            reason = known
        default:
            guard (1...SuppressionsQuery.longestSearch).contains(text.unicodeScalars.count) else {
                return "The parameter search must have 1 to \(SuppressionsQuery.longestSearch) characters."
            }
            search = text
        }
        return nil
    }

    /// One more entry than the page has shows whether there is a next page.
    func filter(of environment: RelayCore.Environment) -> SuppressionFilter {
        SuppressionFilter(
            environment: environment, reason: reason, search: search,
            after: cursor.map { .init(environment: environment, matchKey: $0) }, limit: limit + 1)
    }

    // MARK: Cursors

    /// In base64 for URLs (RFC 4648 section 5): addresses contain characters that have a meaning in a query.
    static func cursor(behind entry: Suppression) -> String {
        Data(Suppression.matchKey(entry.address).utf8).base64EncodedString()
            .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }

    private static func matchKey(cursor: String) -> String? {
        guard cursor.utf8.count <= longestCursor else { return nil }
        let padded =
            cursor.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
            + String(repeating: "=", count: (4 - cursor.utf8.count % 4) % 4)
        guard let octets = Data(base64Encoded: padded), !octets.isEmpty else { return nil }
        return String(validating: octets, as: UTF8.self)
    }

    static let longestCursor = 2000
}

/// The query of `DELETE /v1/email/suppressions/{email}`.
struct SuppressionRemovalQuery: Hashable, Sendable {
    /// Whether a complaint may be removed too.
    var isConfirmed = false

    static func read(_ query: some StringProtocol) -> Result<SuppressionRemovalQuery, Problem> {
        var read = SuppressionRemovalQuery()
        let problem = QueryParameters.problem(query, ["confirm"]) { _, text in
            guard text == "true" || text == "false" else { return "The parameter confirm must be true or false." }
            read.isConfirmed = text == "true"
            return nil
        }
        return problem.map { .failure($0) } ?? .success(read)
    }
}
