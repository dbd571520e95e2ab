import InternetMessage
import MessageComposition
import RelayCore
import StrictJSON
import Templates

/// Reads the fields of an email, and collects their mistakes.
struct EmailReader {
    let context: EmailRequest.Context
    var errors: ValidationErrors
    /// The template that the email was made from, with its version.
    var template: TemplateReference?
    /// The octets that the template made from its values.
    var renderedSize = 0

    init(_ context: EmailRequest.Context) {
        self.context = context
        errors = ValidationErrors(limit: context.maximumMistakes)
    }

    /// The members of an object. Null means the same as a missing field: many clients write it for a value that they do
    /// not have.
    struct Fields {
        let object: JSONObject
        let pointer: JSONPointer

        func value(_ name: String) -> (value: JSON, pointer: JSONPointer)? {
            guard let value = object[name], value != .null else { return nil }
            return (value, pointer.appending(name))
        }
    }

    /// Nil if the value is not an object. Unknown names are reported.
    mutating func object(_ value: JSON, at pointer: JSONPointer, _ names: FieldNames, _ what: String) -> Fields? {
        guard case .object(let object) = value else {
            errors.add("\(what) must be an object, not \(value.kind).", at: pointer)
            return nil
        }
        for member in object.members where !names.known.contains(where: { member.name.utf8.elementsEqual($0.utf8) }) {
            errors.add(names.mistake(about: member.name), at: EmailReader.place(of: member.name, in: pointer))
        }
        return Fields(object: object, pointer: pointer)
    }

    /// The place of a member. For a member with a very long name, the place of its object.
    static func place(of name: JSONString, in object: JSONPointer) -> JSONPointer {
        name.utf8.count <= 256 ? object.appending(name.text) : object
    }

    // MARK: Options of the email

    mutating func idempotencyKey(_ fields: Fields) -> IdempotencyKey? {
        guard let text = text("idempotency_key", fields) else { return nil }
        do throws(IdempotencyKey.Mistake) {
            return try IdempotencyKey(text)
        } catch {
            errors.add(error.detail, at: fields.pointer.appending("idempotency_key"))
            return nil
        }
    }

    /// The time as requested, even if it has passed.
    mutating func scheduledAt(_ fields: Fields) -> Timestamp? {
        guard let text = text("scheduled_at", fields) else { return nil }
        let pointer = fields.pointer.appending("scheduled_at")
        guard let time = Timestamp(rfc3339: text.utf8) else {
            errors.add(
                "\"scheduled_at\" must be a date and time with its zone, such as 2026-12-01T09:00:00Z or 2026-12-01T10:00:00+01:00.",
                at: pointer)
            return nil
        }
        if let refusal = Schedule.refusal(of: time, at: context.now) {
            errors.add(refusal.explanation + ".", at: pointer)
            return nil
        }
        return time
    }

    /// The largest number of elements of `tags`. A tag that occurs twice counts once, so there may be more elements
    /// than tags.
    static let maximumTagElements = 4 * MessageTags.maximumCount

    mutating func tags(_ fields: Fields) -> [String] {
        guard let (value, pointer) = fields.value("tags") else { return [] }
        guard case .array(let elements) = value else {
            errors.add("\"tags\" must be an array of strings, not \(value.kind).", at: pointer)
            return []
        }
        guard elements.count <= EmailReader.maximumTagElements else {
            errors.add(
                "\"tags\" has \(elements.count) elements; send at most \(MessageTags.maximumCount) different tags.",
                at: pointer)
            return []
        }
        var tags: [String] = []
        for (index, element) in elements.enumerated() {
            let place = pointer.appending(index)
            guard case .string(let string) = element else {
                errors.add("A tag must be a string, not \(element.kind).", at: place)
                continue
            }
            let tag = string.text
            if let fault = MessageTags.fault(of: tag) {
                errors.add("The tag \(fault).", at: place)
            } else {
                tags.append(tag)
            }
        }
        let all = MessageTags.unique(tags)
        if let refusal = MessageTags.refusal(of: all) {
            errors.add(refusal.explanation + ".", at: pointer)
            return []
        }
        return all
    }

    // MARK: The email

    /// Nil only if there are mistakes.
    mutating func email(_ fields: Fields) -> Email? {
        let use = templateUse(fields)
        let from = from(fields, use)
        let to = mailboxes("to", fields)
        let cc = mailboxes("cc", fields)
        let bcc = mailboxes("bcc", fields)
        var replyTo = mailboxes("reply_to", fields)
        if fields.value("reply_to") == nil, let use {
            replyTo = use.rendered.replyTo.compactMap { address in
                (try? Mailbox(parsing: address)).map { ($0, use.templatePointer) }
            }
        }
        checkRecipients(fields, to + cc + bcc)
        let isFromTemplate = EmailReader.namesTemplate(fields)
        let subject = text("subject", fields) ?? use?.rendered.subject
        if fields.value("subject") == nil, isFromTemplate ? use != nil && subject == nil : true {
            errors.add(
                isFromTemplate
                    ? "\"subject\" is required, since the template has none: a string."
                    : "\"subject\" is required: a string.", at: fields.pointer.appending("subject"))
        }
        let text = text("text", fields) ?? use?.rendered.text
        let html = self.text("html", fields) ?? use?.rendered.html
        if fields.value("text") == nil, fields.value("html") == nil, !isFromTemplate {
            errors.add("\"html\", \"text\" or both are required.", at: fields.pointer.appending("text"))
        }
        let attachments = attachments(fields)
        let headers = headers(fields)

        // If the author is missing, a recipient's address is used as the author, so that all other mistakes are
        // reported at the same time.
        guard let author = from ?? to.first?.value else { return nil }
        let email = Email(
            from: author, to: to.map(\.value), cc: cc.map(\.value), bcc: bcc.map(\.value),
            replyTo: replyTo.map(\.value), subject: subject ?? "", text: text, html: html,
            attachments: attachments.map(\.value), headers: headers)
        let places = EmailPlaces(
            email: fields.pointer, subject: fields.value("subject") == nil ? use?.pointer : nil, body: use?.pointer,
            to: to.map(\.pointer), cc: cc.map(\.pointer), bcc: bcc.map(\.pointer),
            replyTo: replyTo.map(\.pointer), attachments: attachments.map(\.pointer))
        // Without its template an email lacks the fields that the template provides. That is not a separate mistake.
        if use != nil || !isFromTemplate {
            for mistake in places.mistakes(in: email) { errors.add(afterOthers: mistake) }
        }
        return errors.all.isEmpty ? email : nil
    }

    /// A value that was read, with its place.
    private typealias Placed<Value> = (value: Value, pointer: JSONPointer)

    private mutating func checkRecipients(_ fields: Fields, _ recipients: [Placed<Mailbox>]) {
        let pointer = fields.pointer.appending("to")
        if fields.value("to") == nil {
            errors.add("\"to\" is required: a string, or an array of strings.", at: pointer)
        } else if case .array([])? = fields.value("to")?.value {
            errors.add("\"to\" must have at least one address.", at: pointer, .recipients)
        }
        // Each recipient counts once, as in the envelope.
        let count = Set(recipients.map(\.value.address)).count
        if count > context.maximumRecipients {
            let sentence = tooManyRecipients(count)
            errors.add(sentence, at: pointer, .recipients)
        }
    }

    /// Nil if the field is missing or is not a string.
    mutating func text(_ name: String, _ fields: Fields) -> String? {
        guard let (value, pointer) = fields.value(name) else { return nil }
        guard case .string(let string) = value else {
            errors.add("\"\(name)\" must be a string, not \(value.kind).", at: pointer)
            return nil
        }
        return string.text
    }

    private mutating func from(_ fields: Fields, _ use: TemplateUse?) -> Mailbox? {
        guard fields.value("from") != nil else {
            if let text = use?.rendered.from { return try? Mailbox(parsing: text) }
            // If the template can't be used, it is not known whether it provides this field.
            if use != nil || !EmailReader.namesTemplate(fields) {
                errors.add(
                    "\"from\" is required: user@example.com or Name <user@example.com>.",
                    at: fields.pointer.appending("from"))
            }
            return nil
        }
        guard let text = text("from", fields) else { return nil }
        return mailbox(text, at: fields.pointer.appending("from"))
    }

    private mutating func mailboxes(_ name: String, _ fields: Fields) -> [Placed<Mailbox>] {
        guard let (value, pointer) = fields.value(name) else { return [] }
        switch value {
        case .string(let string): return mailbox(string.text, at: pointer).map { [($0, pointer)] } ?? []
        case .array(let elements):
            // This check comes first, because there may be thousands of addresses to parse.
            guard elements.count <= context.maximumRecipients else {
                let sentence = tooManyRecipients(elements.count)
                errors.add(sentence, at: pointer, .recipients)
                return []
            }
            return elements.enumerated().compactMap { index, element in
                guard case .string(let string) = element else {
                    errors.add(
                        "An address must be a string such as user@example.com or Name <user@example.com>, not \(element.kind).",
                        at: pointer.appending(index))
                    return nil
                }
                let place = pointer.appending(index)
                return mailbox(string.text, at: place).map { ($0, place) }
            }
        default:
            errors.add("\"\(name)\" must be a string or an array of strings, not \(value.kind).", at: pointer)
            return []
        }
    }

    private func tooManyRecipients(_ count: Int) -> String {
        "A message can have at most \(context.maximumRecipients) recipients, and this one has \(count); send it in several messages."
    }

    private mutating func mailbox(_ text: String, at pointer: JSONPointer) -> Mailbox? {
        do throws(MailboxError) {
            return try Mailbox(parsing: text)
        } catch {
            errors.add(error.explanation + ".", at: pointer, .address)
            return nil
        }
    }

    private mutating func attachments(_ fields: Fields) -> [Placed<Email.Attachment>] {
        guard let (value, pointer) = fields.value("attachments") else { return [] }
        guard case .array(let elements) = value else {
            errors.add("\"attachments\" must be an array of objects, not \(value.kind).", at: pointer)
            return []
        }
        return elements.enumerated().compactMap { index, element in
            let place = pointer.appending(index)
            return attachment(element, at: place).map { ($0, place) }
        }
    }

    private mutating func attachment(_ value: JSON, at pointer: JSONPointer) -> Email.Attachment? {
        guard let fields = object(value, at: pointer, FieldNames.attachment, "An attachment") else { return nil }
        let filename = text("filename", fields)
        if fields.value("filename") == nil {
            errors.add("\"filename\" is required: a string.", at: pointer.appending("filename"))
        }
        let contentType = text("content_type", fields)
        let contentID = text("content_id", fields)
        guard let content = content(fields), let filename else { return nil }
        return Email.Attachment(filename: filename, contentType: contentType, contentID: contentID, content: content)
    }

    private mutating func content(_ fields: Fields) -> Base64Text? {
        let pointer = fields.pointer.appending("content")
        switch fields.value("content")?.value {
        case .string(let string):
            if let content = Base64Text(string.utf8) { return content }
            let isDataURL = string.utf8.starts(with: "data:".utf8)
            errors.add(
                isDataURL
                    ? "\"content\" is a data: URL; send only the part after its comma, in base64."
                    : "\"content\" must be base64 with the alphabet of + and / (RFC 4648 section 4), padded with =.",
                at: pointer)
        case .none: errors.add("\"content\" is required: the file in base64.", at: pointer)
        case .some(let value): errors.add("\"content\" must be a string in base64, not \(value.kind).", at: pointer)
        }
        return nil
    }

    private mutating func headers(_ fields: Fields) -> [Email.HeaderField] {
        guard let (value, pointer) = fields.value("headers") else { return [] }
        guard case .object(let object) = value else {
            errors.add("\"headers\" must be an object of strings, not \(value.kind).", at: pointer)
            return []
        }
        return object.members.compactMap { member in
            guard case .string(let string) = member.value else {
                errors.add(
                    "The value of a header field must be a string, not \(member.value.kind).",
                    at: EmailReader.place(of: member.name, in: pointer))
                return nil
            }
            return Email.HeaderField(name: member.name.text, value: string.text)
        }
    }
}
