import InternetMessage
import MessageComposition
import RelayCore
import StrictJSON

/// One email as a client of the API requests it: the body of `POST /v1/email/send`, or an item of a batch.
struct EmailRequest: Sendable {
    /// Information that is not in the document.
    struct Context: Sendable {
        /// The current time, with which `scheduled_at` is compared.
        var now: Timestamp
        /// The largest number of recipients of one message, in `to`, `cc` and `bcc` together.
        var maximumRecipients: Int
        /// The largest number of mistakes that are reported.
        var maximumMistakes = ValidationErrors.limit
        /// The templates that the request refers to.
        var templates = RequestTemplates()
        var rendering = RenderingRoom(perEmail: 0, total: 0)
    }

    var email: Email
    /// The template that the email was made from, with the version; nil: no template.
    var template: TemplateReference?
    /// The octets that the template produced from its values.
    private(set) var renderedSize = 0
    /// The tags satisfy ``MessageTags``. Each occurs once, in the order of the request.
    var tags: [String]
    /// The time as requested; a time in the past means at once. Nil: at once.
    var scheduledAt: Timestamp?
    /// Nil if the client has not given a key.
    var idempotency: RequestIdempotency?

    /// Reads an email.
    ///
    /// - Parameters:
    ///   - document: the body of the request.
    ///   - header: the key in the header `Idempotency-Key`.
    /// - Throws: ``EmailRequestFailure`` with all mistakes at once.
    init(
        _ document: JSON, idempotencyKey header: IdempotencyKey?, _ context: Context
    ) throws(EmailRequestFailure) {
        self = try EmailRequest.read(document, at: .root, context) { key, pointer, errors throws(EmailRequestFailure) in
            if let key, let header, key != header { throw .idempotencyKeysDiffer }
            return key ?? header
        }
    }

    /// Reads an item of a batch.
    ///
    /// An item may have its own idempotency key, as an email that is sent alone. So a client can group its emails into
    /// batches in any way. If the whole batch has a key, its items can't have keys: the item's key could say that the
    /// email is a repeat, and the batch's key that it is not.
    ///
    /// - Parameters:
    ///   - pointer: the item's place in the document.
    ///   - batchHasKey: whether the whole batch has an idempotency key.
    init(
        item: JSON, at pointer: JSONPointer, batchHasKey: Bool, _ context: Context
    ) throws(EmailRequestFailure) {
        self = try EmailRequest.read(item, at: pointer, context) { key, pointer, errors throws(EmailRequestFailure) in
            if key != nil, batchHasKey {
                errors.add(
                    "The batch has an idempotency key for all of its emails; remove either that key or those of the emails.",
                    at: pointer)
            }
            return key
        }
    }

    private static func read(
        _ document: JSON, at pointer: JSONPointer, _ context: Context,
        key decide: (
            _ own: IdempotencyKey?, JSONPointer, inout ValidationErrors
        ) throws(EmailRequestFailure) -> IdempotencyKey?
    ) throws(EmailRequestFailure) -> EmailRequest {
        var reader = EmailReader(context)
        guard let fields = reader.object(document, at: pointer, FieldNames.email, "An email") else {
            throw .invalid(reader.errors.all)
        }
        let own = reader.idempotencyKey(fields)
        let key = try decide(own, pointer.appending("idempotency_key"), &reader.errors)
        let scheduledAt = reader.scheduledAt(fields)
        let tags = reader.tags(fields)
        guard let email = reader.email(fields), reader.errors.all.isEmpty else { throw .invalid(reader.errors.all) }
        return EmailRequest(
            email: email, template: reader.template, renderedSize: reader.renderedSize, tags: tags,
            scheduledAt: scheduledAt,
            idempotency: key.map {
                RequestIdempotency(key: $0, digest: document.digest(leavingOut: "idempotency_key"))
            })
    }

    private init(
        email: Email, template: TemplateReference?, renderedSize: Int, tags: [String], scheduledAt: Timestamp?,
        idempotency: RequestIdempotency?
    ) {
        self.email = email
        self.template = template
        self.renderedSize = renderedSize
        self.tags = tags
        self.scheduledAt = scheduledAt
        self.idempotency = idempotency
    }
}

extension EmailRequestFailure {
    static let idempotencyKeysDiffer = EmailRequestFailure.idempotencyKey(
        "The header Idempotency-Key and the field idempotency_key name two different keys; send one of them, or the same in both."
    )
}

/// The body of `POST /v1/email/batch`: an array of emails, or `{"emails": […]}`.
struct EmailBatch: Sendable {
    /// The items in the order of the request. An item that fails does not stop the others.
    var items: [Result<EmailRequest, EmailRequestFailure>]
    /// The idempotency of the batch as a whole. In both forms of the body, the digest is computed from the array.
    var idempotency: RequestIdempotency?

    static let sizes = 1...100

    /// - Throws: ``EmailRequestFailure`` if the document is not a batch, or has no emails or too many.
    init(
        _ document: JSON, idempotencyKey header: IdempotencyKey?, _ context: EmailRequest.Context
    ) throws(EmailRequestFailure) {
        var reader = EmailReader(context)
        var pointer = JSONPointer.root
        var emails = document
        var key = header
        if case .object = document {
            guard let fields = reader.object(document, at: .root, FieldNames.batch, "A batch") else {
                throw .invalid(reader.errors.all)
            }
            if let own = reader.idempotencyKey(fields) {
                if let header, header != own { throw .idempotencyKeysDiffer }
                key = own
            }
            pointer = pointer.appending("emails")
            emails = fields.value("emails")?.value ?? .array([])
        }
        guard case .array(let elements) = emails else {
            reader.errors.add("An array of emails is expected, not \(emails.kind).", at: pointer)
            throw .invalid(reader.errors.all)
        }
        if !EmailBatch.sizes.contains(elements.count) {
            reader.errors.add(
                "A batch must have 1 to \(EmailBatch.sizes.upperBound) emails, and this one has \(elements.count); "
                    + (elements.isEmpty ? "put the emails into an array." : "send them in several batches."),
                at: pointer)
        }
        guard reader.errors.all.isEmpty else { throw .invalid(reader.errors.all) }
        // At most as many mistakes are reported for the whole batch as for one email. But each email with mistakes gets
        // at least one.
        var context = context
        items = elements.enumerated().map { index, element in
            let item = Result { () throws(EmailRequestFailure) in
                try EmailRequest(
                    item: element, at: pointer.appending(index), batchHasKey: key != nil, context)
            }
            switch item {
            case .failure(.invalid(let errors)):
                context.maximumMistakes = max(1, context.maximumMistakes - errors.count)
            case .failure: break
            // The rendered octets of a failed email are not kept.
            case .success(let request): context.rendering.left -= request.renderedSize
            }
            return item
        }
        idempotency = key.map { RequestIdempotency(key: $0, digest: emails.digest()) }
    }
}
