//! Session keys and their ciphers.

use super::{
    CM_TAG_BYTES, GCM_TAG_BYTES, INDEX_BYTES, RTCP_HEADER_BYTES, SrtpError, SrtpKeys, SrtpProfile,
};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

/// The first of three key derivation labels for RTP or RTCP: cipher, authentication, salt (RFC
/// 3711, section 4.3.2).
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Rtp = 0,
    Rtcp = 3,
}

/// The parts of a packet's nonce besides the salt.
#[derive(Clone, Copy)]
pub(super) struct PacketId {
    pub(super) ssrc: u32,
    /// 48 bits for RTP, 31 for RTCP.
    pub(super) index: u64,
}

/// The ciphers for RTP or RTCP in one direction.
pub(super) struct SessionKeys {
    cipher: Cipher,
    salt: [u8; 14],
}

enum Cipher {
    Gcm(LessSafeKey),
    Cm(Box<(EncryptingKey, hmac::Key)>),
}

impl SessionKeys {
    /// Derives the session keys of one direction (RFC 3711, section 4.3, with key derivation rate
    /// 0).
    pub(super) fn derive(
        profile: SrtpProfile,
        master: SrtpKeys<'_>,
        purpose: Purpose,
    ) -> Result<Self, SrtpError> {
        if master.key.len() != profile.key_bytes() || master.salt.len() != profile.salt_bytes() {
            return Err(SrtpError::KeyLength);
        }
        let derivation = Derivation::new(master)?;
        let label = purpose as u8;
        let mut key = [0; 32];
        let key = &mut key[..profile.key_bytes()];
        derivation.fill(label, key)?;
        let mut authentication = [0; 20];
        derivation.fill(label + 1, &mut authentication)?;
        let mut salt = [0; 14];
        derivation.fill(label + 2, &mut salt[..profile.salt_bytes()])?;
        Self::new(profile, key, &authentication, salt)
    }

    pub(super) fn new(
        profile: SrtpProfile,
        key: &[u8],
        authentication: &[u8],
        salt: [u8; 14],
    ) -> Result<Self, SrtpError> {
        let cipher = if profile.is_gcm() {
            let algorithm = if key.len() == 32 {
                &AES_256_GCM
            } else {
                &AES_128_GCM
            };
            let key = UnboundKey::new(algorithm, key).map_err(|_| SrtpError::KeyLength)?;
            Cipher::Gcm(LessSafeKey::new(key))
        } else {
            let tag_key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, authentication);
            Cipher::Cm(Box::new((counter_key(key)?, tag_key)))
        };
        Ok(Self { cipher, salt })
    }

    /// Encrypts `body` in place. Returns the tag.
    pub(super) fn encrypt(
        &self,
        id: PacketId,
        header: &[u8],
        body: &mut [u8],
        trailer: Trailer,
    ) -> Result<Tag, SrtpError> {
        match &self.cipher {
            Cipher::Gcm(key) => {
                let nonce = self.gcm_nonce(id);
                let tag = match trailer.aead_header(header) {
                    Some(aad) => key.seal_in_place_separate_tag(nonce, Aad::from(aad), body),
                    None => key.seal_in_place_separate_tag(nonce, Aad::from(header), body),
                };
                let tag = tag.map_err(|_| SrtpError::Cipher)?;
                Ok(Tag::of(tag.as_ref()))
            }
            Cipher::Cm(keys) => {
                let (key, tag_key) = &**keys;
                apply_counter(key, self.cm_iv(id), body)?;
                Ok(Tag::of(&cm_tag(tag_key, [header, body, &trailer.word()])))
            }
        }
    }

    /// As `encrypt` with AES-GCM, for an RTP packet whose body is in two parts: encrypts `first` in
    /// place, and `rest` with the tag after it into `out`, which has just that size.
    pub(super) fn seal(
        &self,
        id: PacketId,
        header: &[u8],
        first: &mut [u8],
        rest: &[u8],
        out: &mut [u8],
    ) -> Result<(), SrtpError> {
        let Cipher::Gcm(key) = &self.cipher else {
            return Err(SrtpError::Cipher);
        };
        let (nonce, header) = (self.gcm_nonce(id), Aad::from(header));
        let sealed = key.seal_in_place_scatter(nonce, header, first, rest, out);
        sealed.map_err(|_| SrtpError::Cipher)
    }

    /// Verifies the tag at the end of `body_and_tag`, then decrypts the body in place. After an
    /// error the bytes are unusable.
    pub(super) fn decrypt(
        &self,
        id: PacketId,
        header: &[u8],
        body_and_tag: &mut [u8],
        trailer: Trailer,
    ) -> Result<(), SrtpError> {
        match &self.cipher {
            Cipher::Gcm(key) => {
                let nonce = self.gcm_nonce(id);
                let decrypted = match trailer.aead_header(header) {
                    Some(aad) => key.open_in_place(nonce, Aad::from(aad), body_and_tag),
                    None => key.open_in_place(nonce, Aad::from(header), body_and_tag),
                };
                decrypted.map(|_| ()).map_err(|_| SrtpError::BadTag)
            }
            Cipher::Cm(keys) => {
                let (key, tag_key) = &**keys;
                let (body, tag) = body_and_tag
                    .split_last_chunk_mut::<CM_TAG_BYTES>()
                    .ok_or(SrtpError::TooShort)?;
                let right = cm_tag(tag_key, [header, body, &trailer.word()]);
                verify_slices_are_equal(&right, tag).map_err(|_| SrtpError::BadTag)?;
                apply_counter(key, self.cm_iv(id), body)
            }
        }
    }

    /// RFC 7714, sections 8.1 and 9.1.
    fn gcm_nonce(&self, id: PacketId) -> Nonce {
        let [a, b, c, d, salt @ .., _, _] = self.salt;
        let high = u32::from_be_bytes([a, b, c, d]) ^ id.ssrc >> 16;
        let low = u64::from_be_bytes(salt) ^ (u64::from(id.ssrc) << 48 | id.index);
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&high.to_be_bytes());
        nonce[4..].copy_from_slice(&low.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    /// RFC 3711, section 4.1.1.
    fn cm_iv(&self, id: PacketId) -> [u8; 16] {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        for (byte, value) in iv[4..8].iter_mut().zip(id.ssrc.to_be_bytes()) {
            *byte ^= value;
        }
        for (byte, value) in iv[8..14].iter_mut().zip(&id.index.to_be_bytes()[2..]) {
            *byte ^= value;
        }
        iv
    }
}

/// What the tag covers besides header and body.
#[derive(Clone, Copy)]
pub(super) enum Trailer {
    /// Not transmitted. HMAC covers it; AEAD has it in the nonce.
    RolloverCounter(u32),
    /// E bit and index of an SRTCP packet, covered by both kinds of tag.
    RtcpIndex(u32),
}

impl Trailer {
    fn word(self) -> [u8; 4] {
        let (Self::RolloverCounter(word) | Self::RtcpIndex(word)) = self;
        word.to_be_bytes()
    }

    /// The associated data of SRTCP (RFC 7714, section 9.2). `None`: only the header.
    fn aead_header(self, header: &[u8]) -> Option<[u8; RTCP_HEADER_BYTES + INDEX_BYTES]> {
        let Self::RtcpIndex(word) = self else {
            return None;
        };
        let mut aad = [0; RTCP_HEADER_BYTES + INDEX_BYTES];
        aad[..RTCP_HEADER_BYTES].copy_from_slice(header.get(..RTCP_HEADER_BYTES)?);
        aad[RTCP_HEADER_BYTES..].copy_from_slice(&word.to_be_bytes());
        Some(aad)
    }
}

/// An authentication tag of 10 or 16 bytes.
pub(super) struct Tag {
    bytes: [u8; GCM_TAG_BYTES],
    length: usize,
}

impl Tag {
    fn of(tag: &[u8]) -> Self {
        let mut bytes = [0; GCM_TAG_BYTES];
        bytes[..tag.len()].copy_from_slice(tag);
        Self {
            bytes,
            length: tag.len(),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Key derivation from one master key.
struct Derivation {
    key: EncryptingKey,
    salt: [u8; 14],
}

impl Derivation {
    /// A shorter salt is right-padded with zeros (RFC 7714, section 11).
    fn new(master: SrtpKeys<'_>) -> Result<Self, SrtpError> {
        let mut salt = [0; 14];
        salt[..master.salt.len()].copy_from_slice(master.salt);
        Ok(Self {
            key: counter_key(master.key)?,
            salt,
        })
    }

    fn fill(&self, label: u8, out: &mut [u8]) -> Result<(), SrtpError> {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        iv[7] ^= label;
        out.fill(0);
        apply_counter(&self.key, iv, out)
    }
}

fn counter_key(key: &[u8]) -> Result<EncryptingKey, SrtpError> {
    let algorithm = if key.len() == 32 {
        &cipher::AES_256
    } else {
        &cipher::AES_128
    };
    let key = UnboundCipherKey::new(algorithm, key).map_err(|_| SrtpError::KeyLength)?;
    EncryptingKey::ctr(key).map_err(|_| SrtpError::Cipher)
}

fn apply_counter(key: &EncryptingKey, iv: [u8; 16], bytes: &mut [u8]) -> Result<(), SrtpError> {
    let context = EncryptionContext::Iv128((&iv).into());
    key.less_safe_encrypt(bytes, context)
        .map(|_| ())
        .map_err(|_| SrtpError::Cipher)
}

fn cm_tag(key: &hmac::Key, parts: [&[u8]; 3]) -> [u8; CM_TAG_BYTES] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let mut tag = [0; CM_TAG_BYTES];
    tag.copy_from_slice(&context.sign().as_ref()[..CM_TAG_BYTES]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_hex::hex;

    fn salt14(text: &str) -> [u8; 14] {
        let mut salt = [0; 14];
        let bytes = hex(text);
        salt[..bytes.len()].copy_from_slice(&bytes);
        salt
    }

    #[test]
    fn session_keys_are_those_of_rfc_3711_b_3() {
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        let master = SrtpKeys {
            key: &key,
            salt: &salt,
        };
        let derivation = Derivation::new(master).unwrap();
        for (label, right) in [
            (0, "C61E7A93744F39EE10734AFE3FF7A087"),
            (
                1,
                "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2DC68",
            ),
            (2, "30CBBC08863D8C85D49DB34A9AE1"),
        ] {
            let right = hex(right);
            let mut out = vec![0; right.len()];
            derivation.fill(label, &mut out).unwrap();
            assert_eq!(out, right, "label {label}");
        }
    }

    #[test]
    fn the_key_stream_is_that_of_rfc_3711_b_2() {
        let keys = SessionKeys::new(
            SrtpProfile::Aes128CmHmacSha1_80,
            &hex("2B7E151628AED2A6ABF7158809CF4F3C"),
            &[0; 20],
            salt14("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"),
        )
        .unwrap();
        let id = PacketId { ssrc: 0, index: 0 };
        let mut stream = vec![0; 0xff02 * 16];
        keys.encrypt(id, &[], &mut stream, Trailer::RolloverCounter(0))
            .unwrap();
        assert_eq!(
            stream[..48],
            hex(
                "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"
            )
        );
        assert_eq!(
            stream[0xfeff * 16..],
            hex(
                "EC8CDF7398607CB0F2D21675EA9EA1E4362B7C3C6773516318A077D7FC5073AE6A2CC3787889374FBEB4C81B17BA6C44"
            )
        );
    }

    /// RFC 7714, sections 16 and 17: session keys, plain and protected packet.
    struct GcmVector {
        profile: SrtpProfile,
        id: PacketId,
        header_bytes: usize,
        trailer: Trailer,
        clear: &'static str,
        protected: &'static str,
    }

    const RTP: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e697320646976697361\
                       20696e207061727465732074726573";
    const RTP_ID: PacketId = PacketId {
        ssrc: 0x5501_a0b2,
        index: 0xf17b,
    };
    const RTCP: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61\
                        deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
    const RTCP_ID: PacketId = PacketId {
        ssrc: 0x4d61_7273,
        index: 0x5d4,
    };

    const GCM_VECTORS: [GcmVector; 3] = [
        GcmVector {
            profile: SrtpProfile::AeadAes128Gcm,
            id: RTP_ID,
            header_bytes: 12,
            trailer: Trailer::RolloverCounter(0),
            clear: RTP,
            protected: "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f\
                     42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
        },
        GcmVector {
            profile: SrtpProfile::AeadAes256Gcm,
            id: RTP_ID,
            header_bytes: 12,
            trailer: Trailer::RolloverCounter(0),
            clear: RTP,
            protected: "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3\
                     b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
        },
        GcmVector {
            profile: SrtpProfile::AeadAes128Gcm,
            id: RTCP_ID,
            header_bytes: 8,
            trailer: Trailer::RtcpIndex(0x8000_05d4),
            clear: RTCP,
            protected: "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1\
                     730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade",
        },
    ];

    #[test]
    fn packets_match_the_vectors_of_rfc_7714() {
        let key: Vec<u8> = (0..32).collect();
        let salt = salt14("517569642070726f2071756f");
        for vector in GCM_VECTORS {
            let key = &key[..vector.profile.key_bytes()];
            let keys = SessionKeys::new(vector.profile, key, &[], salt).unwrap();
            let clear = hex(vector.clear);
            let protected = hex(vector.protected);
            let (header, body) = clear.split_at(vector.header_bytes);
            let mut body = body.to_vec();
            let tag = keys
                .encrypt(vector.id, header, &mut body, vector.trailer)
                .unwrap();
            assert_eq!([header, &body, tag.as_bytes()].concat(), protected);
            let mut body_and_tag = protected[vector.header_bytes..].to_vec();
            keys.decrypt(vector.id, header, &mut body_and_tag, vector.trailer)
                .unwrap();
            assert!(body_and_tag.starts_with(&clear[vector.header_bytes..]));
        }
    }
}
