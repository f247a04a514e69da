//! How much each vector counts in the blend.

use crate::settings::Settings;

/// A vector of the batch, with the weight its part has from the client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Row {
    /// Of a picture.
    Image(f32),
    /// Of words.
    Text(f32),
}

/// One weight per row, and where there is a neutral text one more for its vector, the last of the batch.
///
/// With a neutral text the blend is `image + text - neutral`: words and pictures lie in different corners of the
/// space of most models, and the difference of two texts is a direction that is free of that.
pub fn weights(rows: &[Row], settings: &Settings) -> Vec<f32> {
    let weight = |row: &Row| match row {
        Row::Image(weight) => settings.image_weight * weight,
        Row::Text(weight) => settings.text_weight * weight,
    };
    let mut weights: Vec<_> = rows.iter().map(weight).collect();
    if settings.neutral.is_some() {
        let words = rows.iter().filter(|row| matches!(row, Row::Text(_)));
        weights.push(-words.map(weight).sum::<f32>());
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighed(rows: &[Row], json: &str) -> Vec<f32> {
        weights(rows, &Settings::parse(json).unwrap())
    }

    #[test]
    fn the_weights_of_policy_and_client_are_multiplied() {
        let rows = [Row::Image(1.0), Row::Image(0.5), Row::Text(2.0)];
        assert_eq!(weighed(&rows, r#"{"image_weight": 0.5, "text_weight": 1.5}"#), [0.5, 0.25, 3.0]);
        assert_eq!(weighed(&rows[..1], ""), [1.0]);
    }

    #[test]
    fn the_neutral_text_is_taken_away_as_often_as_words_are_added() {
        let rows = [Row::Image(1.0), Row::Text(1.0), Row::Text(0.5)];
        assert_eq!(weighed(&rows, r#"{"neutral": "a photo", "text_weight": 2}"#), [1.0, 2.0, 1.0, -3.0]);
    }
}
