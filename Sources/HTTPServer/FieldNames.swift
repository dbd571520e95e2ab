import RelayCore
import StrictJSON

/// The names that an object of the API may have, and the messages about other names.
struct FieldNames: Sendable {
    let known: [String]
    /// Names that other services use for one of the relay's names, in lower case without `_` and `-`.
    var synonyms: [String: String] = [:]
    /// Messages about names that are understood but not accepted, by the name in lower case without `_` and `-`.
    var explanations: [String: String] = [:]

    /// What to do about an unknown name: a sentence with its final full stop or question mark.
    func mistake(about name: JSONString) -> String {
        let text = String(decoding: name.utf8.prefix(80), as: UTF8.self)
        let plain = FieldNames.plain(text)
        if let explanation = explanations[plain] { return explanation }
        let meant =
            known.first { FieldNames.plain($0) == plain } ?? synonyms[plain] ?? Spelling.nearest(to: text, among: known)
            ?? Spelling.nearest(to: plain, among: synonyms.keys.sorted()).flatMap { synonyms[$0] }
        return "The field \(name.excerpt) is not known; "
            + (meant.map { "did you mean \"\($0)\"?" }
                ?? "leave it out. The fields are: \(known.joined(separator: ", ")).")
    }

    /// The common form of `replyTo`, `reply-to` and `Reply_To`.
    private static func plain(_ name: String) -> String {
        String(String.UnicodeScalarView(name.lowercased().unicodeScalars.filter { $0 != "_" && $0 != "-" }))
    }
}

extension FieldNames {
    static let email = FieldNames(
        known: [
            "from", "to", "cc", "bcc", "reply_to", "subject", "html", "text", "attachments", "tags", "headers",
            "scheduled_at", "idempotency_key", "template_id", "variables",
        ],
        synonyms: [
            "sender": "from", "recipient": "to", "recipients": "to", "carboncopy": "cc", "blindcarboncopy": "bcc",
            "title": "subject", "subjectline": "subject", "body": "text", "message": "text", "content": "text",
            "plain": "text", "plaintext": "text", "textbody": "text", "bodytext": "text", "textcontent": "text",
            "htmlbody": "html", "bodyhtml": "html", "htmlcontent": "html", "htmltext": "html", "files": "attachments",
            "inline": "attachments", "tag": "tags", "categories": "tags", "labels": "tags", "header": "headers",
            "customheaders": "headers", "sendat": "scheduled_at", "deliverat": "scheduled_at",
            "sendtime": "scheduled_at", "schedule": "scheduled_at", "template": "template_id",
            "templatevariables": "variables", "substitutions": "variables", "params": "variables",
            "dynamictemplatedata": "variables", "mergevars": "variables",
        ])

    static let attachment = FieldNames(
        known: ["filename", "content", "content_type", "content_id"],
        synonyms: [
            "name": "filename", "file": "filename", "data": "content", "body": "content", "base64": "content",
            "type": "content_type", "mimetype": "content_type", "mime": "content_type", "mediatype": "content_type",
            "cid": "content_id", "id": "content_id",
        ],
        explanations: [
            "path": noFetching("path"), "url": noFetching("url"), "href": noFetching("href"),
            "encoding": "The field \"encoding\" is not known; leave it out, \"content\" is always base64.",
            "disposition":
                "The field \"disposition\" is not known; leave it out, an attachment with \"content_id\" is inline.",
            "contentdisposition":
                "The field \"content_disposition\" is not known; leave it out, an attachment with \"content_id\" is inline.",
        ])

    static let batch = FieldNames(known: ["emails", "idempotency_key"])

    private static func noFetching(_ name: String) -> String {
        "The field \"\(name)\" is not known: the relay reads no files and fetches no URLs; put the file into \"content\" as base64."
    }
}
