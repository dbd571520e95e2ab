import HTTPTypes
import RelayCore
import StrictJSON

/// A request about a resource (RFC 9110 section 3.1) other than an email: its body describes what to create, change or
/// do.
protocol ResourceRequest: RequestWithBody {
    var configuration: HTTPServerConfiguration { get }
    /// The largest number of octets of a body. By default it is small enough to stay in memory.
    static var maximumBodySize: Int { get }
    /// - Throws: ``EmailRequestFailure`` with all mistakes in the document at once.
    func answer(_ document: JSON) async throws(EmailRequestFailure) -> HTTPAnswer
}

extension ResourceRequest {
    static var maximumBodySize: Int { 64 << 10 }

    var bodies: RequestBodyStore {
        RequestBodyStore(
            directory: configuration.scratchDirectory, limit: Self.maximumBodySize, turns: api.service.turns,
            refusalOfSpace: { _ in nil })
    }

    var tooLarge: Problem {
        Problem(
            .refusal(.size), .contentTooLarge,
            "The body of the request is over the limit of \(Self.maximumBodySize) octets.")
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
            return try await answer(document)
        } catch {
            return api.refuse(Problem(error))
        }
    }
}

extension EmailReader {
    /// A reader for documents without times and recipients.
    static var ofFields: EmailReader { EmailReader(.init(now: Timestamp(milliseconds: 0), maximumRecipients: 0)) }
}
