internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxStorage
internal import Glibc

/// Where the certificate of the S3 server comes from: files that somebody else provides, or two of
/// this peer's own making in its data directory.
struct CertificateSource: Sendable {
    let certificateFile: String
    let keyFile: String
    /// The names and addresses that a certificate of its own making is for; nil: others make it.
    let ownNames: [String]?

    /// Nil when S3 is to be plain HTTP.
    init?(_ configuration: PeerConfiguration) {
        if let certificate = configuration.s3CertificateFile, let key = configuration.s3KeyFile {
            (certificateFile, keyFile, ownNames) = (certificate, key, nil)
            return
        }
        guard configuration.s3SelfSigned else { return nil }
        certificateFile = configuration.dataDirectory + "/s3-certificate.pem"
        keyFile = configuration.dataDirectory + "/s3-certificate.key"
        ownNames = CertificateSource.names(configuration)
    }

    private static func names(_ configuration: PeerConfiguration) -> [String] {
        var names = ["localhost", "127.0.0.1", "::1"]
        let address = configuration.s3Listen
        let host = address[..<(address.lastIndex(of: ":") ?? address.endIndex)]
        let listen = host.filter { !"[]".contains($0) }
        if !["0.0.0.0", "::", ""].contains(listen), !names.contains(listen) {
            names.append(listen)
        }
        if let domain = configuration.s3Domain { names += [domain, "*." + domain] }
        return names
    }

    // MARK: Reading

    /// So long before it ends, a certificate of one's own making is replaced.
    private static let renewal = Duration.seconds(30 * 86_400)
    /// How long one is valid: browsers refuse more than 825 days.
    private static let lifetime = Duration.seconds(365 * 86_400)
    /// Clocks of clients may be behind.
    private static let backdating = Duration.seconds(86_400)

    /// The certificate to show now. One of its own making is made, or made anew when it is about to
    /// end or is not for the names that it should be for.
    func load(_ now: WallTime) throws(StoreProblem) -> TLSIdentity {
        guard let names = ownNames else { return try read() }
        do {
            let known = try read()
            if !isEnding(known, now), names.allSatisfy(known.isFor) { return known }
        } catch {
            // There is none yet, or none that can be used: it is of no use to anybody.
        }
        let from = now.adding(.zero - CertificateSource.backdating)
        let made: (chain: String, key: String)
        do {
            made = try TLSIdentity.selfSigned(
                for: names, during: from...now.adding(CertificateSource.lifetime))
        } catch {
            throw StoreProblem("TLS-02", "\(error)", advice: "leave --s3-tls-self-signed away")
        }
        try SecretFile.write(keyFile, made.key)
        try SecretFile.write(certificateFile, made.chain)
        return try read()
    }

    /// Whether a certificate of its own making should be replaced.
    func isEnding(_ identity: TLSIdentity, _ now: WallTime) -> Bool {
        ownNames != nil
            && now.adding(CertificateSource.renewal) > identity.validity.upperBound
    }

    private func read() throws(StoreProblem) -> TLSIdentity {
        let files = [certificateFile, keyFile]
        var contents: [[UInt8]] = []
        for file in files {
            guard let bytes = try SecretFile.read(file) else {
                throw StoreProblem(
                    "TLS-01", "there is no file \(file)",
                    advice: "--s3-tls-certificate and --s3-tls-key name PEM files")
            }
            contents.append(bytes)
        }
        do {
            return try TLSIdentity(chain: contents[0], key: contents[1])
        } catch {
            throw StoreProblem(
                "TLS-01", "\(files[0]) and \(files[1]) cannot be used: \(error)",
                advice: "both are PEM: the server's certificate, then those above it; its key")
        }
    }

    // MARK: Changes

    /// What changes when one of the files is written or replaced.
    struct Stamp: Equatable, Sendable {
        fileprivate var numbers: [Int64] = []
    }

    func stamp() -> Stamp {
        var stamp = Stamp()
        for file in [certificateFile, keyFile] {
            var found = stat()
            guard stat(file, &found) == 0 else {
                stamp.numbers += [-1]
                continue
            }
            stamp.numbers += [
                Int64(bitPattern: UInt64(found.st_ino)), Int64(found.st_size),
                Int64(found.st_mtim.tv_sec), Int64(found.st_mtim.tv_nsec),
                Int64(found.st_ctim.tv_sec), Int64(found.st_ctim.tv_nsec),
            ]
        }
        return stamp
    }
}

extension WallTime {
    fileprivate func adding(_ duration: Duration) -> WallTime {
        WallTime(milliseconds: milliseconds + duration.nanoseconds / 1_000_000)
    }
}

extension TLSIdentity {
    /// The fingerprint as other tools print it.
    var printedFingerprint: String {
        fingerprint.map { Hex.encode([$0]).uppercased() }.joined(separator: ":")
    }
}
