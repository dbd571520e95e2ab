import RelayCore
import StrictJSON
import Templates

extension JSON {
    /// One version of a template, with its content.
    init(_ template: Template, _ more: [JSONObject.Member] = []) {
        let content = template.content
        self = .object(
            JSONObject(
                [
                    .init("id", JSON(template.id.text)), .init("name", JSON(template.name)),
                    .init("version", JSON(template.version)), .init("subject", JSON(content.subject)),
                    .init("html", JSON(content.html)), .init("text", JSON(content.text)),
                    .init("variables", .array(content.variables.map(\.json))), .init("from", JSON(content.from)),
                    .init("reply_to", .array(content.replyTo.map { JSON($0) })),
                    .init("created_at", JSON(template.createdAt.rfc3339)),
                    .init("updated_at", JSON(template.updatedAt.rfc3339)),
                    .init("created_by", JSON(template.createdBy?.text)),
                ] + more))
    }

    init(_ template: TemplateSummary) {
        self = [
            "id": JSON(template.id.text), "name": JSON(template.name), "version": JSON(template.version),
            "subject": JSON(template.subject), "created_at": JSON(template.createdAt.rfc3339),
            "updated_at": JSON(template.updatedAt.rfc3339), "created_by": JSON(template.createdBy?.text),
        ]
    }

    init(_ version: TemplateVersionSummary) {
        self = [
            "version": JSON(version.version), "subject": JSON(version.subject),
            "created_at": JSON(version.createdAt.rfc3339), "created_by": JSON(version.createdBy?.text),
        ]
    }

    init(_ rendered: RenderedTemplate) {
        self = [
            "subject": JSON(rendered.subject), "html": JSON(rendered.html), "text": JSON(rendered.text),
            "from": JSON(rendered.from), "reply_to": .array(rendered.replyTo.map { JSON($0) }),
        ]
    }

    init(_ statistics: MessageStatistics) {
        self = [
            "today": JSON(statistics.today), "7_days": JSON(statistics.days7), "30_days": JSON(statistics.days30),
        ]
    }

    private init(_ counts: RecipientCounts) {
        self = [
            "sent": JSON(counts.sent), "delivered": JSON(counts.delivered), "bounced": JSON(counts.bounced),
            "complained": JSON(counts.complained),
        ]
    }
}

/// The requested page of a list in the order of texts.
struct TextPageQuery: Hashable, Sendable {
    var limit = MessagesQuery.defaultLimit
    /// The last text of the previous page.
    var cursor: String?

    static func read(_ query: some StringProtocol) -> Result<TextPageQuery, Problem> {
        var read = TextPageQuery()
        let problem = QueryParameters.problem(query, ["limit", "cursor"]) { name, text in
            if name == "limit" { return PageLimit.set(&read.limit, text) }
            guard let cursor = TextCursor.text(text) else { return PageLimit.noCursor }
            read.cursor = cursor
            return nil
        }
        return problem.map { .failure($0) } ?? .success(read)
    }
}

/// The query of `GET …/versions`.
struct VersionsQuery: Hashable, Sendable {
    var limit = MessagesQuery.defaultLimit
    /// The last version of the previous page.
    var cursor: Int?

    static func read(_ query: some StringProtocol) -> Result<VersionsQuery, Problem> {
        var read = VersionsQuery()
        let problem = QueryParameters.problem(query, ["limit", "cursor"]) { name, text in
            if name == "limit" { return PageLimit.set(&read.limit, text) }
            guard let version = Int(text), (1...999_999_999).contains(version), String(version) == text else {
                return PageLimit.noCursor
            }
            read.cursor = version
            return nil
        }
        return problem.map { .failure($0) } ?? .success(read)
    }
}

/// The parameter `limit` of lists.
private enum PageLimit {
    /// Sets the limit. Returns what is wrong with it; nil if nothing is.
    static func set(_ limit: inout Int, _ text: String) -> String? {
        guard let number = Int(text), (1...MessagesQuery.maximumLimit).contains(number) else {
            return "The parameter limit must be a number from 1 to \(MessagesQuery.maximumLimit)."
        }
        limit = number
        return nil
    }

    static let noCursor = "The parameter cursor must be the next_cursor of an earlier page."
}
