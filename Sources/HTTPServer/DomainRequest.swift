import Domains
import HTTPTypes
import InternetMessage
import RelayCore
import StrictJSON

/// A request to add a domain.
struct DomainRequest: RequestWithBody {
    let api: EmailAPI
    let configuration: HTTPServerConfiguration

    /// The most octets of a body. It is small enough to stay in memory.
    static let maximumBodySize = 64 << 10

    var bodies: RequestBodyStore {
        RequestBodyStore(
            directory: configuration.scratchDirectory, limit: DomainRequest.maximumBodySize, turns: api.service.turns,
            refusalOfSpace: { _ in nil })
    }

    var tooLarge: Problem {
        Problem(
            .refusal(.size), .contentTooLarge,
            "The body of the request is over the limit of \(DomainRequest.maximumBodySize) octets.")
    }

    func refusal(of fields: HTTPFields) -> Problem? { refusalOfBody(fields) }

    func completed(_ answer: HTTPAnswer) async -> HTTPAnswer { answer }

    func answer(_ octets: [UInt8], _ fields: HTTPFields) async -> HTTPAnswer {
        let document: JSON
        do throws(JSONError) {
            document = try JSON(reading: octets)
        } catch {
            return api.refuse(.notJSON(error))
        }
        do throws(EmailRequestFailure) {
            return await DomainAPI(api: api).add(try DomainRequest.name(document))
        } catch {
            return api.refuse(Problem(error))
        }
    }

    /// - Throws: ``EmailRequestFailure`` with all mistakes at once.
    static func name(_ document: JSON) throws(EmailRequestFailure) -> DomainName {
        var reader = EmailReader(.init(now: Timestamp(milliseconds: 0), maximumRecipients: 0))
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
