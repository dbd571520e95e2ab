import Admission
import HTTPTypes
import InternetMessage
import MessageComposition
import RelayCore
import StrictJSON

/// A request to add an address to the list.
struct SuppressionRequest: ResourceRequest {
    let api: EmailAPI
    let configuration: HTTPServerConfiguration

    /// A list that is filled without end must not fill the disk.
    func refusal(of fields: HTTPFields) -> Problem? {
        let grant = api.caller.grant
        return refusalOfBody(fields)
            ?? api.service.store.refusalOfSpace(for: grant.key.environment, size: fields.bodyLength)
            .map { Problem($0, scope: grant.scope) }
    }

    func answer(_ document: JSON) async throws(EmailRequestFailure) -> HTTPAnswer {
        await SuppressionAPI(api: api).add(try SuppressionFields(document))
    }
}

/// The fields of an entry in a request.
struct SuppressionFields: Hashable, Sendable {
    /// The address in its canonical form.
    var address: String
    var reason: SuppressionReason
    var note: String?

    /// - Throws: ``EmailRequestFailure`` with all mistakes at once.
    init(_ document: JSON) throws(EmailRequestFailure) {
        var reader = EmailReader.ofFields
        guard let fields = reader.object(document, at: .root, FieldNames.suppression, "A suppression") else {
            throw .invalid(reader.errors.all)
        }
        let address = SuppressionFields.address(fields, &reader.errors)
        reason = SuppressionFields.reason(fields, &reader.errors)
        note = SuppressionFields.note(fields, &reader.errors)
        guard let address, reader.errors.all.isEmpty else { throw .invalid(reader.errors.all) }
        self.address = address
    }

    private static func address(_ fields: EmailReader.Fields, _ errors: inout ValidationErrors) -> String? {
        guard let (value, pointer) = fields.value("email") else {
            errors.add(
                "\"email\" is required: the address to which no more mail is to be sent.", at: .root.appending("email"))
            return nil
        }
        guard case .string(let string) = value else {
            errors.add("\"email\" must be a string, not \(value.kind).", at: pointer)
            return nil
        }
        do throws(MailboxError) {
            return try Mailbox(parsing: string.text).address.text
        } catch {
            errors.add(error.explanation + ".", at: pointer, .address)
            return nil
        }
    }

    private static func reason(_ fields: EmailReader.Fields, _ errors: inout ValidationErrors) -> SuppressionReason {
        guard let (value, pointer) = fields.value("reason") else { return .manual }
        let names = SuppressionReason.allCases.map(\.rawValue)
        guard case .string(let string) = value else {
            errors.add("\"reason\" must be a string, not \(value.kind).", at: pointer)
            return .manual
        }
        guard let reason = SuppressionReason(rawValue: string.text) else {
            let meant = Spelling.nearest(to: string.text, among: names)
            errors.add(
                "\"reason\" must be one of \(names.joined(separator: ", "))"
                    + (meant.map { "; did you mean \"\($0)\"?" } ?? "."), at: pointer)
            return .manual
        }
        return reason
    }

    private static func note(_ fields: EmailReader.Fields, _ errors: inout ValidationErrors) -> String? {
        guard let (value, pointer) = fields.value("note") else { return nil }
        guard case .string(let string) = value else {
            errors.add("\"note\" must be a string, not \(value.kind).", at: pointer)
            return nil
        }
        let text = string.text
        if text.unicodeScalars.count > Suppression.longestNote {
            errors.add("\"note\" can have at most \(Suppression.longestNote) characters.", at: pointer)
        } else if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            errors.add("\"note\" contains a control character; write it on one line.", at: pointer)
        }
        return text
    }
}

extension FieldNames {
    static let suppression = FieldNames(
        known: ["email", "reason", "note"],
        synonyms: [
            "address": "email", "emailaddress": "email", "recipient": "email", "to": "email", "type": "reason",
            "cause": "reason", "comment": "note", "description": "note", "notes": "note",
        ],
        explanations: [
            "createdat": "The field \"created_at\" can't be set; 'hiveku-relay suppressions import' keeps times."
        ])
}
