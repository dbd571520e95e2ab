import Domains
import InternetMessage
import RelayCore
import StrictJSON

/// A request to add a domain.
struct DomainRequest: ResourceRequest {
    let api: EmailAPI
    let configuration: HTTPServerConfiguration

    func answer(_ document: JSON) async throws(EmailRequestFailure) -> HTTPAnswer {
        await DomainAPI(api: api).add(try DomainRequest.name(document))
    }

    /// - Throws: ``EmailRequestFailure`` with all mistakes at once.
    static func name(_ document: JSON) throws(EmailRequestFailure) -> DomainName {
        var reader = EmailReader.ofFields
        guard let fields = reader.object(document, at: .root, FieldNames.domain, "A domain") else {
            throw .invalid(reader.errors.all)
        }
        let pointer = JSONPointer.root.appending("name")
        var name: DomainName?
        switch fields.value("name")?.value {
        case nil: reader.errors.add("\"name\" is required: the domain to send from.", at: pointer)
        case .string(let string):
            switch SendingDomainName.read(string.text) {
            case .success(let read): name = read
            case .failure(let mistake): reader.errors.add("\"name\" \(mistake.predicate).", at: pointer)
            }
        case .some(let value):
            reader.errors.add("\"name\" must be a string, not \(value.kind).", at: pointer)
        }
        guard let name, reader.errors.all.isEmpty else { throw .invalid(reader.errors.all) }
        return name
    }
}

extension FieldNames {
    static let domain = FieldNames(
        known: ["name"],
        synonyms: ["domain": "name", "domainname": "name", "identity": "name", "emailidentity": "name"],
        explanations: [
            "region":
                "The field \"region\" is not known; leave it out: domains are in the region of the relay's SES account."
        ])
}
