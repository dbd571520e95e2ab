import InternetMessage
import RelayCore
import TestSupport
import Testing

@testable import Settings

/// The mistakes that `load` finds. Empty if it accepts the settings.
func mistakes(
    yaml: String = "", file: String = "relay.yaml", environment: [String: String] = [:]
) -> [String] {
    do throws(SettingsErrors) {
        _ = try RelaySettings.load(yaml: yaml, file: file, environment)
        return []
    } catch {
        return error.mistakes.map(\.description)
    }
}

@Suite struct LoadTests {
    @Test func emptySettingsGiveTheDefaults() throws {
        #expect(try RelaySettings.load(file: nil, environment: [:]) == RelaySettings())
        #expect(try RelaySettings.load(yaml: "# nothing\n", file: "f", [:]) == RelaySettings())
        #expect(try RelaySettings.load(yaml: "submission:\nses: ~\n", file: "f", [:]) == RelaySettings())
    }

    @Test func defaultSettingsAreAsDocumented() {
        let settings = RelaySettings()
        #expect(settings.database == .sqlite("/var/lib/hiveku-relay/relay.db"))
        #expect(settings.listen.map(\.description) == ["smtp://0.0.0.0:587", "smtps://0.0.0.0:465"])
        #expect(settings.http.listen.isEmpty)
        #expect(settings.proxyNetworks.isEmpty)
        #expect(settings.submission.maximumMessageSize == 28 * 1024 * 1024)
        #expect(settings.submission.idleTimeout == .seconds(300))
        #expect(settings.submission.authenticationTimeout == .seconds(60))
        #expect(settings.submission.maximumRateDelay == .seconds(5))
        #expect(settings.delivery.retryFirst == .seconds(30))
        #expect(settings.delivery.retryMaximum == .seconds(3600))
        #expect(settings.delivery.giveUpAfter == .seconds(172_800))
        #expect(settings.retention == Retention())
    }

    /// Every setting with a value other than its default. So the test fails if a row of the reference has the key path
    /// of another setting.
    static let everySetting = """
        hostname: mail.example.com
        database: postgresql://relay:open%20sesame@[::1]:5433,db2/relay?sslmode=require
        database_replica: required
        listen: [ "smtp://[::1]:2587", "smtps://mail.example.com:0", systemd, "smtp+proxy://0.0.0.0:2588" ]
        proxy_networks: [ 192.0.2.7, "2001:db8::/64" ]
        http:
          listen:
            - https://[::]:8443
            - https+proxy://0.0.0.0:8444
            - http://192.0.2.1:2580
            - unix:/run/relay/http.sock
            - systemd
          trusted_proxies: 192.0.2.8
        tls:
          certificate: [ /a.pem, /b.pem ]
          private_key: [ /a.key, /b.key ]
          minimum_version: 1.3
          compatibility: old-devices
        submission:
          max_message_size: 10 MB
          max_recipients: 50
          max_connections: 2000
          max_connections_per_client: 20
          idle_timeout: 10 min
          auth_timeout: 30s
          max_rate_delay: 1500ms
          plaintext_auth_networks: [ 127.0.0.1, "2001:db8::/32" ]
          long_lines: refuse
          refused_attachments: [ EXE, js ]
          received_header: no
          detect_repeats: no
        ses:
          region: us-gov-west-1
          endpoint: http://127.0.0.1:5000/
          configuration_set: transactional_1
          max_send_rate: 14.5
          concurrency: 4
          credentials_file: /run/credentials/aws
          profile: relay
        feedback:
          queue_url: https://sqs.us-gov-west-1.amazonaws.com/123456789012/events
          region: us-gov-east-1
          endpoint: http://127.0.0.1:5001/
        bounces:
          from: Bounces@example.com
          for_events: yes
        delivery:
          retry_first: 1m
          retry_max: 2h
          give_up_after: 1d
        storage:
          reserve: 0
          reserve_test: 2 GiB
        retention:
          simulated_size: 100 MB
          sent: 60d
          simulated: 1d
          failed: 3d
        log:
          level: DEBUG
          format: json
        webhooks:
          private_networks: [ 10.20.0.0/16, "fd00::/8" ]
        metrics:
          listen: unix:/run/relay/metrics.sock
        admin:
          listen: unix:/run/relay/admin.sock

        """

    static func everySettingLoaded() throws -> RelaySettings {
        var settings = RelaySettings()
        settings.hostname = "mail.example.com"
        settings.database = .postgresql(
            try PostgreSQLPlace("postgresql://relay:open%20sesame@[::1]:5433,db2/relay?sslmode=require"))
        settings.databaseReplica = .required
        settings.listen = [
            .address(.startTLS, host: "::1", port: 2587),
            .address(.implicitTLS, host: "mail.example.com", port: 0), .inheritedSockets,
            .address(.startTLS, host: "0.0.0.0", port: 2588, proxy: true),
        ]
        settings.proxyNetworks = [try NetworkBlock("192.0.2.7"), try NetworkBlock("2001:db8::/64")]
        settings.http.listen = [
            .address(.https, host: "::", port: 8443), .address(.https, host: "0.0.0.0", port: 8444, proxy: true),
            .address(.http, host: "192.0.2.1", port: 2580), .unix(path: "/run/relay/http.sock"), .inheritedSockets,
        ]
        settings.http.trustedProxies = [try NetworkBlock("192.0.2.8")]
        settings.tls.certificates = ["/a.pem", "/b.pem"]
        settings.tls.privateKeys = ["/a.key", "/b.key"]
        settings.tls.minimumVersion = .tls13
        settings.tls.compatibility = .oldDevices
        settings.submission.maximumMessageSize = 10_000_000
        settings.submission.maximumRecipients = 50
        settings.submission.maximumConnections = 2000
        settings.submission.maximumConnectionsPerClient = 20
        settings.submission.idleTimeout = .seconds(600)
        settings.submission.authenticationTimeout = .seconds(30)
        settings.submission.maximumRateDelay = .milliseconds(1500)
        settings.submission.plaintextAuthenticationNetworks = [
            try NetworkBlock("127.0.0.1"), try NetworkBlock("2001:db8::/32"),
        ]
        settings.submission.longLines = .refuse
        settings.submission.refusedAttachments = ["exe", "js"]
        settings.submission.receivedHeader = false
        settings.submission.detectsRepeats = false
        settings.ses.region = "us-gov-west-1"
        settings.ses.endpoint = "http://127.0.0.1:5000"
        settings.ses.configurationSet = "transactional_1"
        settings.ses.maximumSendRate = .fixed(14.5)
        settings.ses.concurrency = 4
        settings.ses.credentialsFile = "/run/credentials/aws"
        settings.ses.profile = "relay"
        settings.feedback.queueURL = "https://sqs.us-gov-west-1.amazonaws.com/123456789012/events"
        settings.feedback.region = "us-gov-east-1"
        settings.feedback.endpoint = "http://127.0.0.1:5001"
        settings.bounces.from = try AddrSpec(parsing: "Bounces@example.com".utf8)
        settings.bounces.forEvents = true
        settings.delivery.retryFirst = .seconds(60)
        settings.delivery.retryMaximum = .seconds(7200)
        settings.delivery.giveUpAfter = .seconds(86_400)
        settings.retention = Retention(
            sent: .seconds(60 * 86_400), simulated: .seconds(86_400), failed: .seconds(3 * 86_400))
        settings.storage = StoragePolicy(reserve: 0, reserveTest: 2 << 30, simulatedSize: 100_000_000)
        settings.log.level = .debug
        settings.log.format = .json
        settings.webhooks.privateNetworks = [try NetworkBlock("10.20.0.0/16"), try NetworkBlock("fd00::/8")]
        settings.metrics.listen = .unix(path: "/run/relay/metrics.sock")
        settings.admin.listen = .unix(path: "/run/relay/admin.sock")
        return settings
    }

    /// `feedback.region` counts first, then the region in the queue's URL, then `ses.region`.
    @Test(
        arguments: [
            (nil, "https://sqs.eu-west-1.amazonaws.com/1/q", "eu-west-1"),
            (nil, "https://sqs.cn-north-1.amazonaws.com.cn/1/q", "cn-north-1"),
            (nil, "https://sqs-fips.us-east-1.amazonaws.com/1/q", "us-east-1"),
            ("eu-west-3", "https://sqs.eu-west-1.amazonaws.com/1/q", "eu-west-3"),
            (nil, "http://127.0.0.1:5000/1/q", "eu-central-1"), (nil, nil, nil),
        ] as [(String?, String?, String?)])
    func regionOfTheQueue(region: String?, url: String?, expected: String?) {
        var settings = RelaySettings()
        settings.ses.region = "eu-central-1"
        settings.feedback.region = region
        settings.feedback.queueURL = url
        #expect(settings.feedbackRegion == expected)
    }

    @Test func everySettingFromTheFile() throws {
        #expect(try RelaySettings.load(yaml: Self.everySetting, file: "f", [:]) == Self.everySettingLoaded())
    }

    @Test func everySettingFromTheEnvironmentOverTheFile() throws {
        let environment = [
            "HIVEKU_RELAY_HOSTNAME": "mail.example.com",
            "HIVEKU_RELAY_DATABASE": "postgresql://relay:open%20sesame@[::1]:5433,db2/relay?sslmode=require",
            "HIVEKU_RELAY_DATABASE_REPLICA": "required",
            "HIVEKU_RELAY_LISTEN": "smtp://[::1]:2587, smtps://mail.example.com:0,systemd,smtp+proxy://0.0.0.0:2588",
            "HIVEKU_RELAY_PROXY_NETWORKS": "192.0.2.7,2001:db8::/64",
            "HIVEKU_RELAY_HTTP_LISTEN":
                "https://[::]:8443,https+proxy://0.0.0.0:8444,http://192.0.2.1:2580,unix:/run/relay/http.sock,systemd",
            "HIVEKU_RELAY_HTTP_TRUSTED_PROXIES": "192.0.2.8",
            "HIVEKU_RELAY_TLS_CERTIFICATE": "/a.pem,/b.pem",
            "HIVEKU_RELAY_TLS_PRIVATE_KEY": "/a.key,/b.key",
            "HIVEKU_RELAY_TLS_MINIMUM_VERSION": "1.3",
            "HIVEKU_RELAY_TLS_COMPATIBILITY": "old-devices",
            "HIVEKU_RELAY_SUBMISSION_MAX_MESSAGE_SIZE": "10 MB",
            "HIVEKU_RELAY_SUBMISSION_MAX_RECIPIENTS": "50",
            "HIVEKU_RELAY_SUBMISSION_MAX_CONNECTIONS": "2000",
            "HIVEKU_RELAY_SUBMISSION_MAX_CONNECTIONS_PER_CLIENT": "20",
            "HIVEKU_RELAY_SUBMISSION_IDLE_TIMEOUT": "10 min",
            "HIVEKU_RELAY_SUBMISSION_AUTH_TIMEOUT": "30s",
            "HIVEKU_RELAY_SUBMISSION_MAX_RATE_DELAY": "1500ms",
            "HIVEKU_RELAY_SUBMISSION_PLAINTEXT_AUTH_NETWORKS": "127.0.0.1,2001:db8::/32",
            "HIVEKU_RELAY_SUBMISSION_LONG_LINES": "refuse",
            "HIVEKU_RELAY_SUBMISSION_REFUSED_ATTACHMENTS": "exe,JS",
            "HIVEKU_RELAY_SUBMISSION_RECEIVED_HEADER": "false",
            "HIVEKU_RELAY_SUBMISSION_DETECT_REPEATS": "false",
            "HIVEKU_RELAY_SES_REGION": "us-gov-west-1",
            "HIVEKU_RELAY_SES_ENDPOINT": "http://127.0.0.1:5000",
            "HIVEKU_RELAY_SES_CONFIGURATION_SET": "transactional_1",
            "HIVEKU_RELAY_SES_MAX_SEND_RATE": "14.5",
            "HIVEKU_RELAY_SES_CONCURRENCY": "4",
            "HIVEKU_RELAY_SES_CREDENTIALS_FILE": "/run/credentials/aws",
            "HIVEKU_RELAY_SES_PROFILE": "relay",
            "HIVEKU_RELAY_FEEDBACK_QUEUE_URL": "https://sqs.us-gov-west-1.amazonaws.com/123456789012/events",
            "HIVEKU_RELAY_FEEDBACK_REGION": "us-gov-east-1",
            "HIVEKU_RELAY_FEEDBACK_ENDPOINT": "http://127.0.0.1:5001",
            "HIVEKU_RELAY_BOUNCES_FROM": "Bounces@example.com", "HIVEKU_RELAY_BOUNCES_FOR_EVENTS": "yes",
            "HIVEKU_RELAY_DELIVERY_RETRY_FIRST": "1m",
            "HIVEKU_RELAY_DELIVERY_RETRY_MAX": "2h",
            "HIVEKU_RELAY_DELIVERY_GIVE_UP_AFTER": "1d",
            "HIVEKU_RELAY_RETENTION_SENT": "60d",
            "HIVEKU_RELAY_RETENTION_SIMULATED": "1d",
            "HIVEKU_RELAY_RETENTION_SIMULATED_SIZE": "100 MB",
            "HIVEKU_RELAY_RETENTION_FAILED": "3d",
            "HIVEKU_RELAY_STORAGE_RESERVE": "0",
            "HIVEKU_RELAY_STORAGE_RESERVE_TEST": "2 GiB",
            "HIVEKU_RELAY_LOG_LEVEL": "debug",
            "HIVEKU_RELAY_LOG_FORMAT": "json",
            "HIVEKU_RELAY_WEBHOOKS_PRIVATE_NETWORKS": "10.20.0.0/16,fd00::/8",
            "HIVEKU_RELAY_METRICS_LISTEN": "unix:/run/relay/metrics.sock",
            "HIVEKU_RELAY_ADMIN_LISTEN": "unix:/run/relay/admin.sock",
        ]
        #expect(Set(environment.keys) == Set(RelaySettings.reference.map(\.environmentVariable)))
        let file = "hostname: other.example.com\nlisten: systemd\nlog: { level: error }\nses: { region: eu-west-1 }\n"
        #expect(try RelaySettings.load(yaml: file, file: "f", environment) == Self.everySettingLoaded())
    }

    @Test func environmentOverFileOverDefault() throws {
        let file = "submission:\n  max_recipients: 20\n  max_connections: 30\n"
        let settings = try RelaySettings.load(
            yaml: file, file: "f", ["HIVEKU_RELAY_SUBMISSION_MAX_RECIPIENTS": "10", "PATH": "/bin"])
        #expect(settings.submission.maximumRecipients == 10)
        #expect(settings.submission.maximumConnections == 30)
        #expect(settings.submission.maximumConnectionsPerClient == 100)
    }

    @Test func emptyVariablesUnsetOptionalSettings() throws {
        let file = "ses:\n  region: eu-west-1\ntls:\n  certificate: /a\n  private_key: /b\n"
        let environment = [
            "HIVEKU_RELAY_SES_REGION": "", "HIVEKU_RELAY_TLS_CERTIFICATE": "", "HIVEKU_RELAY_TLS_PRIVATE_KEY": "",
            "HIVEKU_RELAY_CONFIG": "",
        ]
        #expect(try RelaySettings.load(yaml: file, file: "f", environment) == RelaySettings())
    }

    @Test func oneItemNeedsNoList() throws {
        let settings = try RelaySettings.load(yaml: "listen: systemd\n", file: "f", [:])
        #expect(settings.listen == [.inheritedSockets])
    }

    @Test func otherDefaultsCanBeGiven() throws {
        let demo = RelaySettings.demo(directory: "./state")
        #expect(demo.database == .sqlite("./state/relay.db"))
        #expect(demo.hostname == "localhost")
        #expect(demo.listen.map(\.description) == ["smtp://127.0.0.1:2587", "smtps://127.0.0.1:2465"])
        let environment = ["HIVEKU_RELAY_LOG_LEVEL": "debug", "HIVEKU_RELAY_HOSTNAME": ""]
        let settings = try RelaySettings.load(file: nil, environment: environment, defaults: demo)
        var expected = demo
        expected.log.level = .debug
        #expect(settings == expected)
    }

    @Test func fileToLoad() {
        #expect(RelaySettings.file(option: "/a", environment: ["HIVEKU_RELAY_CONFIG": "/b"]) == "/a")
        #expect(RelaySettings.file(option: nil, environment: ["HIVEKU_RELAY_CONFIG": "/b"]) == "/b")
    }

    @Test func everyWrittenListenerIsReadBack() throws {
        for listener in try Self.everySettingLoaded().listen + RelaySettings().listen {
            #expect(try ValueKind.listener.parse(listener.description) == listener)
        }
    }

    @Test(arguments: [
        ("127.0.0.1:9465", "127.0.0.1:9465"), ("localhost:9465", "127.0.0.1:9465"), ("127.1.2.3:0", "127.1.2.3:0"),
        ("[::1]:9465", "[::1]:9465"), ("[::ffff:127.0.0.1]:1", "127.0.0.1:1"), ("unix:/run/m.sock", "unix:/run/m.sock"),
    ])
    func placesForMetrics(written: String, meant: String) throws {
        let listen = try RelaySettings.load(yaml: "metrics: { listen: \"\(written)\" }", file: "f", [:]).metrics.listen
        #expect(listen?.description == meant)
        #expect(try listen.map { try ValueKind.metricsListener.parse($0.description) } == listen)
    }

    @Test(arguments: [
        "0.0.0.0:1", "[::]:1", "128.0.0.1:1", "[::2]:1", "[1::1]:1", "10.0.0.1:1", "127.0.0.1", "127.0.0.1:70000",
        "::1:1",
        "unix:", "unix:a", "unix:/a/", "unix:/a\u{7F}", "/run/m.sock", "localhost.example.com:1",
    ])
    func noPlacesForMetrics(written: String) {
        #expect(throws: ValueError.self) { try ValueKind.metricsListener.read(written) }
    }

    @Test(arguments: [
        ("http://127.0.0.1:2581", "http://127.0.0.1:2581"), ("http://localhost:0", "http://127.0.0.1:0"),
        ("http://[::1]:2581", "http://[::1]:2581"), ("unix:/run/a.sock", "unix:/run/a.sock"),
    ])
    func placesForThePage(written: String, meant: String) throws {
        let listen = try RelaySettings.load(yaml: "admin: { listen: \"\(written)\" }", file: "f", [:]).admin.listen
        #expect(listen?.description == meant)
        #expect(try listen.map { try ValueKind.adminListener.parse($0.description) } == listen)
    }

    @Test(arguments: [
        "http://0.0.0.0:1", "http://[::]:1", "http://192.0.2.1:1", "http://127.0.0.1", "https://127.0.0.1:1",
        "127.0.0.1:2581",
        "http://gateway.example.com:1", "http://127.0.0.1:1/", "unix:", "unix:a", "/run/a.sock",
    ])
    func noPlacesForThePage(written: String) {
        #expect(throws: ValueError.self) { try ValueKind.adminListener.read(written) }
    }
}

@Suite struct EnvironmentMistakeTests {
    @Test(arguments: [
        ("HIVEKU_RELAY_SUBMISSION_MAX_RECIPIENTS", "many", "whole number … 1 … 1000 … \"many\""),
        ("HIVEKU_RELAY_SUBMISSION_MAX_RECIPIENTS", "", "whole number … 1 … 1000 … empty"),
        (
            "HIVEKU_RELAY_LOG_LEVEL", "verbose",
            "trace … debug … info … notice … warning … error … critical … \"verbose\""
        ),
        ("HIVEKU_RELAY_LISTEN", "", "list … 1 … 32 … 0"),
        ("HIVEKU_RELAY_TLS_CERTIFICATE", "/a.pem,", "path … file … empty"),
        (
            "HIVEKU_RELAY_SUBMISION_MAX_RECIPIENTS", "5",
            "setting … mean … HIVEKU_RELAY_SUBMISSION_MAX_RECIPIENTS"
        ),
        ("HIVEKU_RELAY_API_TOKEN", "secret", "setting … unset"),
    ])
    func message(variable: String, value: String, facts: String) {
        let found = mistakes(environment: [variable: value]).first ?? ""
        #expect(found.reads("environment: \(variable): … \(facts) …"))
        #expect(!found.contains("secret"))
    }

    @Test func everyInvalidListItemIsReported() {
        let found = mistakes(environment: ["HIVEKU_RELAY_SUBMISSION_PLAINTEXT_AUTH_NETWORKS": "10.0.0.0/33,10.0.0.1,x"])
        #expect(found.count == 2)
    }

    @Test func contradictionsNameTheVariable() {
        let found = mistakes(
            yaml: "delivery:\n  retry_first: 1h\n", environment: ["HIVEKU_RELAY_DELIVERY_RETRY_MAX": "10m"])
        #expect(
            found.reads([
                "environment: HIVEKU_RELAY_DELIVERY_RETRY_MAX: … at least … delivery.retry_first … 1h … 10m …"
            ]))
    }

    @Test func environmentMistakesFollowThoseOfTheFile() {
        let found = mistakes(
            yaml: "databse: /a\n",
            environment: [
                "HIVEKU_RELAY_LOG_LEVEL": "x", "HIVEKU_RELAY_DATABASE": "/", "HIVEKU_RELAY_ZZ": "", "HOME": "/",
            ])
        #expect(
            found.map { $0.prefix { $0 != " " } + $0.drop { $0 != " " }.dropFirst().prefix { $0 != " " } } == [
                "relay.yaml:1:1:databse:", "environment:HIVEKU_RELAY_DATABASE:", "environment:HIVEKU_RELAY_LOG_LEVEL:",
                "environment:HIVEKU_RELAY_ZZ:",
            ])
    }
}

@Suite struct DatabaseTests {
    @Test(arguments: [
        ("/srv/relay.db", "/srv"), ("relay.db", "."), ("/relay.db", "/"), ("./a/relay.db", "./a"),
        ("/srv/a=b.db", "/srv"), ("postgresql://relay@db/relay", "/var/lib/hiveku-relay"),
    ])
    func directoryOfTheState(database: String, directory: String) throws {
        let settings = try RelaySettings.load(yaml: "database: \(database)\n", file: "f", [:])
        #expect(settings.database.description == database)
        #expect(settings.stateDirectory == directory)
    }

    @Test(
        arguments: [
            ("database: postgresql://db/relay\n", [:], "relay.yaml:1:1: database: "),
            ("", ["HIVEKU_RELAY_DATABASE": "postgresql://db/relay"], "environment: HIVEKU_RELAY_DATABASE: "),
        ] as [(String, [String: String], String)])
    func aBuildWithoutPostgreSQLRefusesItWhereItIsWritten(
        yaml: String, environment: [String: String], place: String
    ) throws {
        let errors = #expect(throws: SettingsErrors.self) {
            try RelaySettings.load(
                yaml: yaml, file: "relay.yaml", environment, RelaySettings(), offersPostgreSQL: false)
        }
        #expect(errors?.description.reads(place + "… build … --traits PostgreSQL … package …") == true)
        _ = try RelaySettings.load(yaml: yaml, file: "relay.yaml", environment)
        _ = try RelaySettings.load(yaml: "", file: "f", [:], RelaySettings(), offersPostgreSQL: false)
    }

    @Test func settingIsFromTheFileUnlessTheEnvironmentSetsIt() {
        #expect(RelaySettings.isFromFile("database", [:]))
        #expect(!RelaySettings.isFromFile("database", ["HIVEKU_RELAY_DATABASE": "postgresql://db/relay"]))
    }
}

/// A secret that was written into the wrong setting must not appear in the error messages.
@Suite struct SecrecyTests {
    static let pem = "-----BEGIN PRIVATE KEY-----\nMIIEvSECRET\n-----END PRIVATE KEY-----"

    @Test(arguments: [
        ("HIVEKU_RELAY_TLS_PRIVATE_KEY", pem),
        ("HIVEKU_RELAY_TLS_PRIVATE_KEY", pem.replacing("\n", with: "")),
        ("HIVEKU_RELAY_SES_ENDPOINT", "https://user:SECRET@example.com"),
        ("HIVEKU_RELAY_SES_REGION", "hk_live_SECRET"),
        ("HIVEKU_RELAY_SES_SECRET_ACCESS_KEY", "SECRET"),
        ("HIVEKU_RELAY_DATABASE", "first line\nSECRET"),
        ("HIVEKU_RELAY_DATABASE", "postgresql://relay:SECRET/1"),
        ("HIVEKU_RELAY_DATABASE", "postgresql://relay:SEC@SECRET@db/relay"),
        ("HIVEKU_RELAY_DATABASE", "postgres:relay:SECRET"),
        ("HIVEKU_RELAY_DATABASE", "mysql://relay:SECRET"),
        ("HIVEKU_RELAY_DATABASE", "user=relay password=SECRET"),
        ("HIVEKU_RELAY_DATABASE", "dbname = 'relay' password = 'SECRET'"),
    ])
    func notRepeated(variable: String, value: String) {
        let found = mistakes(environment: [variable: value])
        #expect(!found.isEmpty)
        #expect(
            !found.joined().contains("SECRET\n") && !found.joined().replacing(variable, with: "").contains("SECRET"))
    }

    @Test func echoedTextsAreShortAndWithoutControlCharacters() {
        #expect(echo("a\u{1B}[2Jb\u{202E}") == "\"a?[2Jb?\"")
        #expect(echo(String(repeating: "x", count: 100_000)).count == 63)
    }
}
