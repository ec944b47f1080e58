//! Telephone numbers as providers take them, and where they lead.

use std::{collections::HashMap, fmt, str::FromStr, sync::OnceLock};

const COUNTRIES: &str = include_str!("../data/countries.txt");
const PREMIUM: &str = include_str!("../data/premium.txt");

/// A number in the international form (E.164): `+351912345678`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

/// Not a telephone number that a text message can be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a telephone number in the international form, such as +351912345678")]
pub struct BadPhone;

/// A country as ISO 3166-1 writes it: `PT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl FromStr for Phone {
    type Err = BadPhone;
    /// Spaces, points, hyphens and parentheses are how people write numbers, and mean nothing.
    fn from_str(text: &str) -> Result<Self, BadPhone> {
        let text: String = text.trim().chars().filter(|c| !matches!(c, ' ' | '\u{a0}' | '.' | '-' | '(' | ')')).collect();
        let digits = text.strip_prefix('+').ok_or(BadPhone)?;
        let plausible = (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if plausible { Ok(Self(text)) } else { Err(BadPhone) }
    }
}

impl Phone {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn digits(&self) -> &str {
        &self.0[1..]
    }

    /// `None`: a calling code of no country, such as those of satellites.
    pub fn country(&self) -> Option<Country> {
        let table = countries();
        (1..=self.digits().len().min(9)).rev().find_map(|length| table.get(&self.digits()[..length]).copied())
    }

    /// Whoever calls or writes there pays the owner of the number.
    pub fn is_premium(&self) -> bool {
        premium().iter().any(|prefix| self.digits().starts_with(prefix))
    }

    /// The block of ten thousand numbers it belongs to: who pumps text messages rents numbers that follow each other.
    pub(crate) fn block(&self) -> &str {
        &self.0[..self.0.len() - 4]
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Country {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected the two letters of a country with telephones, such as PT";
        let code: [u8; 2] = text.trim().to_ascii_uppercase().as_bytes().try_into().map_err(|_| EXPECTED)?;
        let country = Self(code);
        if countries().values().any(|known| *known == country) { Ok(country) } else { Err(EXPECTED) }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or("??"))
    }
}

fn countries() -> &'static HashMap<&'static str, Country> {
    static TABLE: OnceLock<HashMap<&'static str, Country>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = HashMap::new();
        for line in COUNTRIES.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            let Some(Ok(code)) = words.next().map(|code| <[u8; 2]>::try_from(code.as_bytes())) else { continue };
            table.extend(words.map(|prefix| (prefix, Country(code))));
        }
        table
    })
}

fn premium() -> &'static [&'static str] {
    static LIST: OnceLock<Vec<&'static str>> = OnceLock::new();
    LIST.get_or_init(|| PREMIUM.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split_whitespace()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(number: &str) -> String {
        number.parse::<Phone>().unwrap().country().map_or_else(|| "none".to_owned(), |country| country.to_string())
    }

    #[test]
    fn a_number_is_read_as_people_write_it_and_in_the_international_form_only() {
        assert_eq!("+351 912-345.678".parse::<Phone>().unwrap().as_str(), "+351912345678");
        assert_eq!("+1 (202) 555-0123".parse::<Phone>().unwrap().as_str(), "+12025550123");
        for text in ["912345678", "00351912345678", "+", "+1", "+0351912345678", "+35191234567890123", "+35191234x678", "", "+٣٥١٩١٢٣٤٥٦٧٨"]
        {
            assert!(text.parse::<Phone>().is_err(), "{text}");
        }
    }

    /// One example of each country with its own code, checked against libphonenumber when the table was made.
    #[test]
    fn the_country_is_found_also_where_countries_share_a_calling_code() {
        for (number, wanted) in [
            ("+351912345678", "PT"),
            ("+5511961234567", "BR"),
            ("+34612345678", "ES"),
            ("+12015550123", "US"),
            ("+15062345678", "CA"),
            ("+18762101234", "JM"),
            ("+18092345678", "DO"),
            ("+79123456789", "RU"),
            ("+77710009998", "KZ"),
            ("+447400123456", "GB"),
            ("+447781123456", "GG"),
            ("+447797712345", "JE"),
            ("+393123456789", "IT"),
            ("+2120650123456", "MA"),
            ("+870773111632", "none"),
            ("+881612345678", "none"),
            ("+979123456789", "none"),
            ("+99912345678", "none"),
        ] {
            assert_eq!(country(number), wanted, "{number}");
        }
        assert!(countries().len() > 300);
    }

    #[test]
    fn premium_numbers_are_known_and_ordinary_ones_are_not() {
        for number in ["+19002345678", "+447012345678", "+449012345678", "+351760123456", "+34803123456", "+469001234567"] {
            assert!(number.parse::<Phone>().unwrap().is_premium(), "{number}");
        }
        for number in ["+351912345678", "+5511961234567", "+34612345678", "+12015550123", "+447400123456", "+393123456789"] {
            assert!(!number.parse::<Phone>().unwrap().is_premium(), "{number}");
        }
    }
}
