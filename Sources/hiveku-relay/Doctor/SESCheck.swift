import AWSClient
import Diagnosis
import Logging
import RelayCore
import SESTransport
import Settings

/// Asks SES about what the relay depends on, if there are keys that send through it.
struct SESCheck: Sendable {
    let settings: RelaySettings.SES
    /// The sender address of failure reports; nil if the relay sends no reports.
    let bouncesFrom: String?
    let environment: [String: String]
    let records: (any RelayStore)?
    let reach: ReachCheck?
    let clock: any RelayClock

    func look() async -> [Finding] { await answers() + ExposedFiles.credentials(settings) }

    private func answers() async -> [Finding] {
        let domains = await within(Doctor.timeout) { await self.domains() }
        guard let domains, let domains else { return Judge.sesWithoutRecords }
        guard domains.hasLiveKeys else { return Judge.noLiveKeys }
        guard let region = settings.region else { return Judge.regionNotSet }
        do throws(SESConfigurationError) {
            let configuration = try SESConfiguration(
                region: region, endpoint: settings.endpoint, concurrency: 1, requestTimeout: .seconds(8),
                connectTimeout: .seconds(5))
            return await ask(configuration, domains.names)
        } catch {
            return Judge.unusableSES("\(error)")
        }
    }

    /// The domains that the live keys send from; nil if the database can't be read.
    private func domains() async -> (hasLiveKeys: Bool, names: [String])? {
        guard let records else { return nil }
        do {
            let now = clock.now()
            let keys = Judge.liveKeys(
                try await records.keyRecords(includingRevoked: false, now: now).map(\.key), now: now)
            var senders: [KeyID: [String]] = [:]
            for key in keys where key.domains.isEmpty {
                senders[key.id] = try await records.recentSenders(of: key.id, amongLast: 100)
            }
            return (!keys.isEmpty, Judge.domains(of: keys, senders: senders, bouncesFrom: bouncesFrom))
        } catch {
            return nil
        }
    }

    private func ask(_ configuration: SESConfiguration, _ domains: [String]) async -> [Finding] {
        let logger = Logger(label: "hiveku-relay.doctor") { _ in SwiftLogNoOpLogHandler() }
        let chain = CredentialsChain(
            environment: environment, credentialsFile: settings.credentialsFile, profile: settings.profile,
            clock: clock,
            logger: logger)
        let found = await within(Doctor.timeout) { () -> Result<AWSCredentials, CredentialsError> in
            do throws(CredentialsError) { return .success(try await chain.credentials()) } catch {
                return .failure(error)
            }
        }
        switch found {
        case nil:
            return Judge.noCredentials(region: configuration.region, "no AWS credentials: their source does not answer")
        case .failure(let error): return Judge.noCredentials(region: configuration.region, error.explanation)
        case .success(let credentials):
            let transport = SESTransport(configuration: configuration, credentials: chain, clock: clock, logger: logger)
            let origin = CredentialsOrigin(
                source: await chain.source ?? "environment", accessKeyID: credentials.accessKeyID)
            var findings = await ask(transport, configuration.region, origin, domains)
            if let file = settings.credentialsFile, let finding = reach?.look(.credentials, at: file) {
                findings.append(finding)
            }
            await transport.shutdown()
            return findings
        }
    }

    private func ask(
        _ transport: SESTransport, _ region: String, _ origin: CredentialsOrigin, _ domains: [String]
    ) async -> [Finding] {
        let account = await transport.account()
        let findings = Judge.ses(region: region, endpoint: settings.endpoint, origin, account)
        guard !domains.isEmpty else { return findings + [Judge.noDomains()] }
        guard Judge.isWorthAsking(after: account) else {
            return findings + [Judge.notAsked(domains, because: "SES has not answered about the account")]
        }
        var questions = IdentityQuestions(transport: transport, region: region, clock: clock)
        return findings + (await questions.ask(domains))
    }
}

/// Asks one question after the other: SES allows about one request of this kind per second.
private struct IdentityQuestions {
    let transport: SESTransport
    let region: String
    let clock: any RelayClock
    private var known: [String: Result<SESIdentityState, SESInquiryFailure>] = [:]
    private let deadline: Timestamp

    static let limit = 25

    init(transport: SESTransport, region: String, clock: any RelayClock) {
        self.transport = transport
        self.region = region
        self.clock = clock
        deadline = clock.now() + Doctor.timeout
    }

    mutating func ask(_ domains: [String]) async -> [Finding] {
        var findings: [Finding] = []
        for (index, domain) in domains.prefix(IdentityQuestions.limit).enumerated() {
            guard clock.now() < deadline else {
                return findings + [Judge.notAsked(Array(domains[index...]), because: "SES answers too slowly")]
            }
            findings += await ask(domain)
        }
        let rest = Array(domains.dropFirst(IdentityQuestions.limit))
        return rest.isEmpty
            ? findings
            : findings + [Judge.notAsked(rest, because: "it asks about \(IdentityQuestions.limit) domains at most")]
    }

    private mutating func ask(_ domain: String) async -> [Finding] {
        var answers: [(name: String, result: Result<SESIdentityState, SESInquiryFailure>)] = []
        for name in Judge.identities(for: domain) {
            let result = await answer(name)
            answers.append((name, result))
            if case .success(let state) = result, state.isVerifiedForSending { break }
        }
        return Judge.identity(of: domain, region: region, answers)
    }

    private mutating func answer(_ name: String) async -> Result<SESIdentityState, SESInquiryFailure> {
        if let known = known[name] { return known }
        var result = await transport.identity(name).result
        while case .failure(.throttled) = result, clock.now() + .seconds(1) < deadline {
            try? await clock.sleep(until: clock.now() + .seconds(1))
            result = await transport.identity(name).result
        }
        known[name] = result
        return result
    }
}
