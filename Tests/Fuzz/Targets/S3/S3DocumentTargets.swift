import CyxCore
import CyxS3

/// What owners of buckets send about them: policies and the XML documents of sub-resources.
let s3DocumentTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "bucket-policy",
        seeds: {
            [
                utf8(
                    #"{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","#
                        + #""Principal":{"AWS":["*","123456789012"]},"Action":["s3:Get*"],"#
                        + #""Resource":"arn:aws:s3:::b/${aws:username}/*?","#
                        + #""Condition":{"StringLike":{"s3:prefix":["a*","${s3:prefix}"]},"#
                        + #""NumericLessThan":{"s3:max-keys":10}}}]}"#),
                utf8(
                    #"{"Statement":{"Effect":"Deny","NotPrincipal":"*","NotAction":"s3:Put*","#
                        + #""NotResource":"arn:aws:s3:::b*","Condition":{"NotIpAddress":"#
                        + #"{"aws:SourceIp":"10.0.0.0/8"},"ForAnyValue:StringEqualsIgnoreCase":"#
                        + #"{"s3:RequestObjectTagKeys":"A"},"DateLessThan":"#
                        + #"{"aws:CurrentTime":"2026-01-01T00:00:00Z"},"Null":{"s3:x-amz-acl":true}}}}"#
                ),
            ]
        },
        decode: { bytes in
            let policy = try taken(DocumentFault.self) {
                try BucketPolicy(parsing: bytes, bucket: "b")
            }
            guard let policy else { return false }
            var context = PolicyContext(
                requester: .account(id: String(repeating: "0", count: 64), name: "n"),
                action: "s3:GetObject", resource: "arn:aws:s3:::b/n/aaaaaaaaaaaaaaaaaaaaaaaaa")
            context["s3:prefix"] = ["aaaa*"]
            context["s3:max-keys"] = ["9"]
            context["aws:SourceIp"] = ["10.1.2.3"]
            context["aws:CurrentTime"] = ["2025-01-01T00:00:00Z"]
            context["s3:RequestObjectTagKeys"] = ["a", "b"]
            let answer = policy.answer(to: context)
            try BrokenProperty.check(
                answer == policy.answer(to: context), "two answers to one question")
            _ = policy.isPublic
            return true
        }),
    FuzzTarget(
        name: "s3-document",
        seeds: {
            [
                [0]
                    + utf8(
                        "<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList><Grant>"
                            + "<Grantee><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>"
                            + "</Grantee><Permission>READ</Permission></Grant>"
                            + "</AccessControlList></AccessControlPolicy>"),
                [1]
                    + utf8(
                        "<CORSConfiguration><CORSRule><ID>a</ID><AllowedOrigin>*</AllowedOrigin>"
                            + "<AllowedMethod>GET</AllowedMethod><AllowedHeader>x-*</AllowedHeader>"
                            + "<ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>5</MaxAgeSeconds>"
                            + "</CORSRule></CORSConfiguration>"),
                [2]
                    + utf8(
                        "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
                    ),
                [3] + utf8("a=b&c%20d=%C3%BC&e"),
                [4]
                    + utf8(
                        "<LifecycleConfiguration><Rule><ID>a</ID><Filter><And><Prefix>p</Prefix>"
                            + "<Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>"
                            + "<Status>Enabled</Status><Expiration><Days>3</Days></Expiration>"
                            + "<NoncurrentVersionExpiration><NoncurrentDays>4</NoncurrentDays>"
                            + "</NoncurrentVersionExpiration></Rule></LifecycleConfiguration>"),
                [5]
                    + utf8(
                        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>"
                            + "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>3</Days>"
                            + "</DefaultRetention></Rule></ObjectLockConfiguration>"),
                [6]
                    + utf8(
                        "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>"
                            + "2030-01-01T00:00:00.5+01:00</RetainUntilDate></Retention>"),
                [7]
                    + utf8(
                        "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>"
                            + "</PublicAccessBlockConfiguration>"),
                [8]
                    + utf8(
                        "<ServerSideEncryptionConfiguration><Rule>"
                            + "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256"
                            + "</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>"
                            + "</ServerSideEncryptionConfiguration>"),
            ]
        },
        decode: documents.decode),
]

/// A document, and what it is written as again once it was read.
private func document(
    _ bytes: [UInt8], _ rewritten: ([UInt8]) throws -> [UInt8]?
) throws -> Bool {
    guard let first = try taken(DocumentFault.self, { try rewritten(bytes) }) else { return false }
    guard let first else { return true }
    // XML has no way to write other control characters: they are lost once.
    guard !bytes.contains(where: { $0 < 0x20 }), !bytes.contains(UInt8(ascii: "&")) else {
        return true
    }
    let second = try taken(DocumentFault.self) { try rewritten(first) }
    try BrokenProperty.check(second == first, "does not read what it wrote: \(first.asText)")
    return true
}

private let documents = Choice(decoders: [
    { bytes in
        try document(bytes) { bytes in
            try AccessControlList(parsing: bytes, owner: "o").document { _ in nil }
        }
    },
    { bytes in
        try document(bytes) { bytes in
            let cors = try CORSConfiguration(parsing: bytes)
            _ = cors.rule(origin: "https://example.com", method: "GET", headers: ["x-a"])
            return cors.document
        }
    },
    { bytes in
        try document(bytes) { bytes in try TagSet(parsing: bytes, of: .object).document }
    },
    { bytes in
        try taken(DocumentFault.self) { try TagSet(header: bytes.asText) } != nil
    },
    { bytes in
        try document(bytes) { bytes in
            let lifecycle = try LifecycleConfiguration(parsing: bytes)
            let subject = LifecycleConfiguration.Subject(
                key: "p", size: 1, tags: [], modified: WallTime(milliseconds: 1))
            if let found = lifecycle.expiration(of: subject) {
                _ = LifecycleConfiguration.header(found)
            }
            return lifecycle.document
        }
    },
    { bytes in
        try document(bytes) { bytes in
            let lock = try ObjectLockConfiguration(parsing: bytes)
            _ = lock.retention(from: WallTime(milliseconds: 0))
            return lock.document
        }
    },
    { bytes in try document(bytes) { bytes in try ObjectRetention.parse(bytes)?.document } },
    { bytes in
        try document(bytes) { bytes in try PublicAccessBlock(parsing: bytes).document }
    },
    { bytes in
        try document(bytes) { bytes in try BucketEncryption(parsing: bytes).document }
    },
])
