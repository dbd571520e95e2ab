import InternetMessage
import RelayCore
import Resolver
import StrictJSON

extension JSON {
    /// The JSON of a domain in a list: without its records.
    package init(_ domain: SendingDomain) { self = .object(JSONObject(domain.members)) }

    /// The JSON of a domain with its records and what DNS has for each.
    package init(_ checked: CheckedDomain) {
        self = .object(
            JSONObject(checked.domain.members + [.init("records", .array(checked.records.map { JSON($0) }))]))
    }

    init(_ checked: CheckedRecord) {
        let (record, finding) = (checked.record, checked.finding)
        self = [
            "purpose": JSON(record.purpose.rawValue), "type": JSON(record.type.name), "name": JSON(record.name),
            "value": JSON(record.value), "required": .bool(record.isRequired), "status": JSON(finding.word.rawValue),
            "found": .array(finding.values.map { JSON($0) }), "reason": JSON(finding.reason),
        ]
    }
}

extension SendingDomain {
    fileprivate var members: [JSONObject.Member] {
        [
            .init("name", JSON(name.text)), .init("unicode_name", JSON(name.unicodeText)),
            .init("status", JSON(status.rawValue)), .init("sending_enabled", .bool(isSendingEnabled)),
            .init("created_at", JSON(createdAt?.rfc3339)),
        ]
    }
}
