import Logging
import RelayCore

/// Credentials from the first of several sources that has some. They are kept, and fetched again before they expire.
///
/// They are fetched again five minutes before they expire, when a file that may contain them has changed, and after AWS
/// refused them. One fetch runs at a time, for all callers that wait. If it fails, the old credentials are used until
/// they expire.
public actor CredentialsChain: CredentialsProvider {
    private let sources: [any CredentialsSource]
    private let clock: any RelayClock
    private let logger: Logger

    private var held: AWSCredentials?
    /// The source of the credentials in use: `environment`, `file /etc/aws (profile default)`.
    public private(set) var source: String?
    private var failure: CredentialsError?
    /// The fingerprints of the sources at the last fetch.
    private var fingerprints: [FileFingerprint?] = []
    private var wasRefused = false
    /// No fetch begins before this time. Without this limit, a source whose credentials are always about to expire
    /// would be asked for each message.
    private var notBefore = Timestamp(milliseconds: .min)

    private var fetch: Task<Void, Never>?
    private var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    private var lastWaiter = 0

    static let refreshAhead = Duration.seconds(300)
    static let refreshPause = Duration.seconds(10)

    init(sources: [any CredentialsSource], clock: any RelayClock, logger: Logger) {
        self.sources = sources
        self.clock = clock
        self.logger = logger
    }

    /// Uses AWS's usual order: environment, shared file, systemd credential, ECS container, EC2 instance.
    ///
    /// `credentialsFile` and `profile` are the settings. If they are nil, the variables of the environment apply, and
    /// then AWS's defaults. The environment is passed in: nothing here reads that of the process.
    public init(
        environment: [String: String], credentialsFile: String? = nil, profile: String? = nil, clock: any RelayClock,
        logger: Logger
    ) {
        let service = MetadataService(clock: clock)
        self.init(
            sources: CredentialsChain.fileSources(environment, credentialsFile: credentialsFile, profile: profile) + [
                ContainerCredentials(environment: environment, service: service),
                InstanceCredentials(environment: environment, service: service),
            ], clock: clock, logger: logger)
    }

    static func fileSources(
        _ environment: [String: String], credentialsFile: String?, profile: String?
    ) -> [any CredentialsSource] {
        let variable = { (name: String) in environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        let home = variable("HOME")
        let profile = profile ?? variable("AWS_PROFILE") ?? "default"
        var sources: [any CredentialsSource] = [EnvironmentCredentials(environment: environment)]
        let shared = variable("AWS_SHARED_CREDENTIALS_FILE") ?? home.map { $0 + "/.aws/credentials" }
        if let path = credentialsFile ?? shared {
            let whole = path.hasPrefix("~/") ? (home ?? "") + path.dropFirst() : path
            sources.append(FileCredentials(path: whole, profile: profile, isRequired: credentialsFile != nil))
        }
        if let directory = variable("CREDENTIALS_DIRECTORY") {
            sources.append(FileCredentials(path: directory + "/aws-credentials", profile: profile, isRequired: false))
        }
        return sources
    }

    /// The credentials of the first source that has some. They are read again some time before they expire, after AWS
    /// has refused them, and when a source has changed.
    ///
    /// - Throws: ``CredentialsError`` if no source has valid credentials.
    public func credentials() async throws(CredentialsError) -> AWSCredentials {
        if isFetchDue { await fetched() }
        if let held, !held.isExpired(at: clock.now()) { return held }
        throw failure ?? CredentialsError("the relay stopped waiting for the AWS credentials")
    }

    public func refused(_ credentials: AWSCredentials) {
        if credentials == held { wasRefused = true }
    }

    private var isFetchDue: Bool {
        guard let held, !wasRefused else { return true }
        let now = clock.now()
        if held.isExpired(at: now) || sources.map({ $0.fingerprint() }) != fingerprints { return true }
        return held.isExpired(at: now + CredentialsChain.refreshAhead) && now >= notBefore
    }

    /// Starts a fetch unless one is running. Returns when the fetch is over, or at once when the caller is cancelled.
    private func fetched() async {
        if fetch == nil {
            fetch = Task { await self.ask() }
        }
        lastWaiter += 1
        let waiter = lastWaiter
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled { continuation.resume() } else { waiters[waiter] = continuation }
            }
        } onCancel: {
            Task { await self.abandon(waiter) }
        }
    }

    private func abandon(_ waiter: Int) { waiters.removeValue(forKey: waiter)?.resume() }

    private func ask() async {
        // The fingerprints are read first, so that a change during the reading causes another reading.
        fingerprints = sources.map { $0.fingerprint() }
        wasRefused = false
        let answer = await firstAnswer()
        notBefore = clock.now() + CredentialsChain.refreshPause
        switch answer {
        case .success(let found): took(found.credentials, from: found.source)
        case .failure(let error): failed(error)
        }
        fetch = nil
        let waiting = waiters.values
        waiters = [:]
        for waiter in waiting { waiter.resume() }
    }

    private func firstAnswer() async -> Result<(credentials: AWSCredentials, source: String), CredentialsError> {
        var absences: [String] = []
        for source in sources {
            switch await source.load() {
            case .found(let credentials) where credentials.isExpired(at: clock.now()):
                return .failure(CredentialsError("the \(source.name) gives AWS credentials that have expired"))
            case .found(let credentials): return .success((credentials, source.name))
            case .failed(let why): return .failure(CredentialsError("no AWS credentials: \(why)"))
            case .absent(let why): absences.append(why)
            }
        }
        return .failure(CredentialsError("no AWS credentials anywhere: " + absences.joined(separator: "; ")))
    }

    private func took(_ credentials: AWSCredentials, from source: String) {
        failure = nil
        self.source = source
        guard credentials != held else { return }
        held = credentials
        logger.info(
            "AWS credentials loaded",
            metadata: [
                "source": "\(source)", "access_key_id": "\(credentials.accessKeyID)",
                "expires_at": "\(credentials.expiresAt?.rfc3339 ?? "never")",
            ])
    }

    private func failed(_ error: CredentialsError) {
        failure = error
        guard let held, !held.isExpired(at: clock.now()) else { return }
        logger.warning(
            "AWS credentials could not be refreshed; the old ones stay in use",
            metadata: ["reason": "\(error)", "expires_at": "\(held.expiresAt?.rfc3339 ?? "never")"])
    }
}
